#include "ui/pages/data_page.h"

#include <QAbstractButton>
#include <QComboBox>
#include <QDropEvent>
#include <QLabel>
#include <QMenu>
#include <QMimeData>
#include <QPushButton>
#include <QSignalSpy>
#include <QTableView>
#include <QTest>
#include <QUrl>

#include "tests/ui/recorded_services.h"
#include "ui/pages/data_roles.h"
#include "ui/pages/data_tokens.h"
#include "ui/pages/data_variants.h"
#include "ui/widgets/error_panel.h"

using namespace qlora;
using namespace qlora::ui;

namespace {

class PlayedDatasets : public QuietDatasets {
  public:
    void open(const recipe::Recipe& recipe) override { asked.push_back(recipe); }
    void describe(int row) override {
        described_rows << row;
        emit described(row, {{"token", row, true, false}});
    }

    void play(std::size_t rows) {
        emit opened({"set", "Support", "/tmp/support.jsonl", rows, {{"q", data::ColumnKind::string}, {"a", data::ColumnKind::string}}, {}});
        DatasetRoles roles;
        roles.roles.layout = data::ColumnRoles::Layout::prompt_completion;
        roles.roles.prompt = "q";
        roles.roles.completion = "a";
        emit resolved(roles);
        emit tokens_ready();
        emit finished();
    }

    void vary(const recipe::Recipe&, int row, bool write) override { varied_rows << std::pair{row, write}; }
    void cancel_varying() override { ++cancelled_varying; }

    std::vector<recipe::Recipe> asked;
    QList<int> described_rows;
    QList<std::pair<int, bool>> varied_rows;
    int cancelled_varying = 0;
};

// Labels that were added appear, those that were taken away go.
void settle() {
    QCoreApplication::processEvents();
    QCoreApplication::sendPostedEvents(nullptr, QEvent::DeferredDelete);
}

QStringList texts_on(const QWidget& list) {
    QStringList texts;
    for (const auto* label : list.findChildren<QLabel*>())
        if (label->isVisible()) texts << label->text();
    return texts;
}

recipe::Recipe recipe_on(const std::string& data) {
    recipe::Recipe recipe;
    recipe.model = "smollm2-135m";
    recipe.data.train = data;
    return recipe;
}

}  // namespace

class DataPageTest : public QObject {
    Q_OBJECT

  private slots:
    void reads_nothing_before_it_is_shown() {
        PlayedDatasets service;
        AnsweredDialogs dialogs;
        DataPage page(service, dialogs);
        page.set_recipe(recipe_on("a.jsonl"));
        QVERIFY(service.asked.empty());
        page.show();
        QCOMPARE(service.asked.size(), 1u);
        page.set_recipe(recipe_on("a.jsonl"));
        QCOMPARE(service.asked.size(), 1u);
    }

    void an_empty_page_teaches_and_its_button_opens_the_menu() {
        PlayedDatasets service;
        AnsweredDialogs dialogs;
        dialogs.file = "/tmp/chosen.jsonl";
        DataPage page(service, dialogs);
        page.show();
        QSignalSpy edited(&page, &DataPage::data_edited);
        page.findChild<QMenu*>()->actions().front()->trigger();
        QCOMPARE(edited.count(), 1);
        QCOMPARE(service.asked.back().data.train, std::string("/tmp/chosen.jsonl"));
    }

    void a_broken_row_is_named_on_the_page_and_may_be_left_out() {
        PlayedDatasets service;
        AnsweredDialogs dialogs;
        DataPage page(service, dialogs);
        page.set_recipe(recipe_on("a.jsonl"));
        page.show();
        emit service.failed(input_error("data.row", "a.jsonl, line 17", "expected an object, got an array", "Correct it."));
        auto* panel = page.findChild<ErrorPanel*>();
        QVERIFY(panel->isVisible());
        QVERIFY(panel->details().contains("line 17"));
        emit panel->retry();
        QVERIFY(service.asked.back().data.skip_bad_rows);
        QVERIFY(!panel->isVisible());
    }

    void shows_the_chosen_row_as_tokens() {
        PlayedDatasets service;
        AnsweredDialogs dialogs;
        DataPage page(service, dialogs);
        page.set_recipe(recipe_on("a.jsonl"));
        page.show();
        service.play(100);
        QCOMPARE(service.described_rows, QList<int>{0});
        auto* table = page.findChild<QTableView*>();
        QTest::keyClick(table, Qt::Key_Down);
        QCOMPARE(service.described_rows.back(), 1);
        QCOMPARE(page.findChild<TokenStrip*>()->count(), 1);
        emit service.described(55, {});
        QCOMPARE(page.findChild<TokenStrip*>()->count(), 1);
    }

    void shows_the_chosen_rows_variants_before_they_are_learned() {
        PlayedDatasets service;
        AnsweredDialogs dialogs;
        DataPage page(service, dialogs);
        page.resize(1000, 700);
        auto recipe = recipe_on("a.jsonl");
        recipe.data.augment.copies = 1;
        recipe.data.augment.paraphrases = 1;
        page.set_recipe(recipe);
        page.show();
        service.play(100);
        auto* list = page.findChild<VariantList*>();
        auto* write = list->findChild<QPushButton*>();
        for (auto* button : page.findChildren<QAbstractButton*>())
            if (button->text() == "Variants") button->click();
        QVERIFY(list->isVisible());
        QCOMPARE(service.varied_rows, (QList<std::pair<int, bool>>{{0, false}}));

        evaluate::RowVariants row{.row = 0, .texts = {"The old movie"}, .variants = {{{0, 1}, "synonyms", {"The old <film>"}, {"old"}}}, .refused = {{"Old?", 0.31, "strays"}}, .unwritten = true};
        emit service.varied(row);
        settle();
        QVERIFY(texts_on(*list).contains("Synonyms · masked: old"));
        QVERIFY(texts_on(*list).contains("The old &lt;<b>film</b>&gt;"));
        QVERIFY(texts_on(*list).contains("Refused: strays · similarity 0.310"));
        QVERIFY(write->isVisible());
        write->click();
        QCOMPARE(service.varied_rows.back(), std::pair(0, true));
        QVERIFY(!write->isVisible());
        const int cancelled = service.cancelled_varying;
        page.set_busy("A run is going");  // takes the model away
        QCOMPARE(service.varied_rows.back(), std::pair(0, false));
        QVERIFY(service.cancelled_varying == cancelled + 1 && !write->isEnabled());
        page.set_busy({});
        QVERIFY(write->isEnabled());
        row.unwritten = false;
        row.row = 7;  // another row's answer comes late
        emit service.varied(row);
        QVERIFY(write->isVisible());
        row.row = 0;
        row.learned = false;
        emit service.varied(row);
        settle();
        QCOMPARE(texts_on(*list).size(), 1);
        QVERIFY(texts_on(*list).front().startsWith("A held-out row"));
        emit service.vary_failed(0, input_error("augment.paraphraser", "m", "expected a model that writes", "Name one."));
        settle();
        QVERIFY(texts_on(*list).front().contains("Name one."));
        QTest::keyClick(page.findChild<QTableView*>(), Qt::Key_Down);
        QCOMPARE(service.varied_rows.back(), std::pair(1, false));
    }

    void a_classifier_learns_from_texts_with_labels() {
        PlayedDatasets service;
        AnsweredDialogs dialogs;
        DataPage page(service, dialogs);
        auto recipe = recipe_on("a.jsonl");
        page.set_recipe(recipe);
        page.show();
        auto* roles = page.findChild<DataRoles*>();
        const auto box = [&](const QString& name) {
            for (auto* found : roles->findChildren<QComboBox*>())
                if (found->accessibleName() == name) return found;
            return static_cast<QComboBox*>(nullptr);
        };
        QCOMPARE(box("Rows are")->count(), 3);
        QVERIFY(!box("Label")->isVisible());
        const auto asked = service.asked.size();
        recipe.task = recipe::Task::classification;
        page.set_recipe(recipe);
        QCOMPARE(service.asked.size(), asked + 1);
        emit service.opened({"set", "Reviews", "/tmp/r.csv", 3,
                             {{"review", data::ColumnKind::string}, {"stars", data::ColumnKind::number}, {"tags", data::ColumnKind::list}},
                             {}});
        DatasetRoles resolved;
        resolved.roles.layout = data::ColumnRoles::Layout::labelled;
        resolved.roles.text = "review";
        resolved.roles.label = "stars";
        emit service.resolved(resolved);
        QCOMPARE(box("Rows are")->count(), 1);
        QCOMPARE(box("Rows are")->currentText(), "Texts with labels");
        QVERIFY(box("Text")->isVisible() && box("Label")->isVisible() && !box("Prompt")->isVisible());
        QCOMPARE(box("Label")->currentText(), "stars");
        QVERIFY(box("Label")->findText("tags") > 0);
        QCOMPARE(box("Text")->findText("tags"), -1);
        QCOMPARE(page.findChild<QTableView*>()->model()->headerData(1, Qt::Horizontal).toString(), "stars (label)");
        QSignalSpy edited(&page, &DataPage::data_edited);
        box("Label")->setCurrentIndex(box("Label")->findText("tags"));
        emit box("Label")->activated(box("Label")->currentIndex());
        QCOMPARE(edited.count(), 1);
        const auto columns = edited[0][0].value<recipe::Data>().columns;
        QCOMPARE(columns.text, std::string("review"));
        QCOMPARE(columns.label, std::string("tags"));
        data::DatasetReport report;
        report.rows = 3;
        report.tokens = 40;
        report.classes = {{"1", 2}, {"5", 1}};
        emit service.reported(report);
        bool counted = false;
        for (const auto* label : page.findChildren<QLabel*>()) counted |= label->isVisible() && label->text() == "Classes: 1 2, 5 1";
        QVERIFY(counted);
        recipe.task = recipe::Task::seq2seq;
        page.set_recipe(recipe);
        QCOMPARE(box("Rows are")->currentText(), "Question and answer");
    }

    void a_role_chosen_by_the_user_goes_into_the_recipe() {
        PlayedDatasets service;
        AnsweredDialogs dialogs;
        DataPage page(service, dialogs);
        page.set_recipe(recipe_on("a.jsonl"));
        page.show();
        service.play(10);
        QSignalSpy edited(&page, &DataPage::data_edited);
        for (auto* box : page.findChildren<QComboBox*>())
            if (box->accessibleName() == "Prompt") {
                box->setCurrentIndex(box->findData("a"));
                emit box->activated(box->currentIndex());
            }
        QCOMPARE(edited.count(), 1);
        QCOMPARE(service.asked.back().data.columns.prompt, std::string("a"));
        QCOMPARE(service.asked.back().data.columns.completion, std::string("a"));
    }

    void a_dropped_file_becomes_the_data() {
        PlayedDatasets service;
        AnsweredDialogs dialogs;
        DataPage page(service, dialogs);
        page.show();
        QMimeData mime;
        mime.setUrls({QUrl::fromLocalFile("/tmp/a b <c>.csv")});
        QDropEvent drop({10, 10}, Qt::CopyAction, &mime, Qt::LeftButton, Qt::NoModifier);
        QCoreApplication::sendEvent(&page, &drop);
        QCOMPARE(service.asked.back().data.train, std::string("/tmp/a b <c>.csv"));
    }

    void holds_a_million_rows() {
        PlayedDatasets service;
        AnsweredDialogs dialogs;
        DataPage page(service, dialogs);
        page.set_recipe(recipe_on("big.parquet"));
        page.show();
        QElapsedTimer clock;
        clock.start();
        service.play(1'000'000);
        page.grab();
        QVERIFY2(clock.elapsed() < 2000, qPrintable(QString::number(clock.elapsed())));
        QCOMPARE(page.findChild<QTableView*>()->model()->rowCount(), 1'000'000);
    }

    void every_control_has_a_name_that_can_be_read_aloud() {
        PlayedDatasets service;
        AnsweredDialogs dialogs;
        DataPage page(service, dialogs);
        page.show();
        for (auto* box : page.findChildren<QComboBox*>()) QVERIFY(!box->accessibleName().isEmpty());
        QVERIFY(!page.findChild<QTableView*>()->accessibleName().isEmpty());
        QVERIFY(!page.findChild<TokenStrip*>()->accessibleName().isEmpty());
    }
};

QTEST_MAIN(DataPageTest)
#include "data_page_test.moc"
