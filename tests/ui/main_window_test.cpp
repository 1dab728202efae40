#include "ui/shell/main_window.h"

#include <QApplication>
#include <QClipboard>
#include <QComboBox>
#include <QDir>
#include <QDropEvent>
#include <QFileInfo>
#include <QLabel>
#include <QLineEdit>
#include <QListView>
#include <QMimeData>
#include <QPushButton>
#include <QSettings>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>
#include <QToolButton>
#include <QTreeView>
#include <cmath>

#include "core/base/error.h"
#include "tests/ui/recorded_engine.h"
#include "tests/ui/recorded_services.h"
#include "tests/ui/searches.h"
#include "ui/charts/loss_chart.h"
#include "ui/charts/quality_chart.h"
#include "ui/models/live_run.h"
#include "ui/models/recipe_draft.h"
#include "ui/pages/live_page.h"
#include "ui/pages/live_side.h"
#include "ui/pages/train_page.h"
#include "ui/pages/train_preview.h"
#include "ui/pages/train_targets.h"
#include "ui/shell/command_palette.h"
#include "ui/shell/latency_probe.h"
#include "ui/theme/theme.h"
#include "ui/widgets/card.h"
#include "ui/widgets/error_panel.h"
#include "ui/widgets/field_editor.h"
#include "ui/widgets/notice_row.h"

using namespace qlora;
using namespace qlora::ui;

namespace {

// One window over recorded facts; the settings lie in a folder of their own.
struct Studio {
    explicit Studio(theme::Theme& theme, const QString& settings_file)
        : settings(settings_file, QSettings::IniFormat),
          window({engine, datasets, runs, chat, searches, dialogs, theme, settings}) {
        window.show();
    }
    QPushButton* start_button() { return window.train_page()->preview()->start_button(); }

    RecordedEngine engine;
    QuietDatasets datasets;
    QuietRuns runs;
    QuietChat chat;
    QuietSearches searches;
    AnsweredDialogs dialogs;
    QSettings settings;
    MainWindow window;
};

}  // namespace

class MainWindowTest : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase() {
        theme_ = std::make_unique<theme::Theme>(*qApp, theme::Scheme::light);
        theme_->set_reduced_motion(true);
    }
    void init() { folder_ = std::make_unique<QTemporaryDir>(); }

    void it_opens_with_a_model_and_data_ready_to_start() {
        Studio studio(*theme_, settings());
        QCOMPARE(studio.window.page(), Page::train);
        QCOMPARE(studio.window.draft().recipe().model, "smollm2-135m");
        QCOMPARE(studio.window.draft().recipe().data.train, "banking-support");
        QVERIFY(studio.start_button()->isEnabled());
        QCOMPARE(studio.start_button()->text(), "Start");
    }
    void start_goes_to_the_live_page_and_the_run_ends_there() {
        Studio studio(*theme_, settings());
        studio.start_button()->click();
        QCOMPARE(studio.engine.calls.last(), "start");
        QCOMPARE(studio.window.page(), Page::live);
        QVERIFY(!studio.start_button()->isEnabled());
        studio.engine.play(30);
        QTest::qWait(120);
        QTRY_COMPARE(studio.window.live_page()->loss()->drawn_points(LossChart::train), std::size_t(30));
        QTest::keyClick(&studio.window, Qt::Key_Space);
        QCOMPARE(studio.engine.calls.last(), "pause");
        QTest::keyClick(&studio.window, Qt::Key_Space);
        QCOMPARE(studio.engine.calls.last(), "unpause");
        studio.engine.play();
        QTest::qWait(120);
        QVERIFY(studio.start_button()->isEnabled());
        QVERIFY(studio.window.live_run().state_text().startsWith("Finished"));
    }
    void a_search_that_was_cut_off_is_offered_and_goes_on_only_when_asked() {
        Studio studio(*theme_, settings());
        studio.searches.searches = {some_search()};
        studio.searches.refresh();
        QVERIFY(studio.searches.gone_on.isEmpty());
        auto* go_on = [&]() -> QPushButton* {
            for (auto* button : studio.window.findChildren<QPushButton*>())
                if (button->text() == "Go on with it") return button;
            return nullptr;
        }();
        QVERIFY(go_on && go_on->isVisible());
        go_on->click();
        QCOMPARE(studio.searches.gone_on, QStringList{"/searches/reviews-1"});
        QCOMPARE(studio.window.page(), Page::runs);
        // While it trains, nothing else does.
        QVERIFY(!studio.start_button()->isEnabled());
        studio.window.start_run();
        QVERIFY(!studio.engine.calls.contains("start"));
        studio.window.close();
        QCOMPARE(studio.dialogs.asked.size(), std::size_t(1));
        QVERIFY(!studio.searches.searching());
    }
    void the_button_says_what_is_missing() {
        Studio studio(*theme_, settings());
        studio.window.draft().choose_data({});
        QCOMPARE(studio.start_button()->text(), "Choose a dataset");
        QVERIFY(!studio.start_button()->isEnabled());
        studio.window.draft().choose_model({});
        QCOMPARE(studio.start_button()->text(), "Choose a model");
        studio.engine.model_error = input_error("model.config", "/models/x/config.json",
                                                "hidden_size: expected a number", "Choose another.");
        studio.window.draft().choose_model("/models/x");
        QCOMPARE(studio.start_button()->text(), "Choose another model");
        bool seen = false;  // as text in the window
        for (ErrorPanel* panel : studio.window.train_page()->findChildren<ErrorPanel*>())
            seen |=
                panel->isVisibleTo(studio.window.train_page()) && panel->details().contains("hidden_size");
        QVERIFY(seen);
    }
    void the_memory_bar_moves_with_every_control() {
        Studio studio(*theme_, settings());
        const auto before = studio.window.draft().plan()->peak_bytes;
        QVERIFY(studio.window.draft().set("train.batch_size", 32));
        QVERIFY(studio.window.draft().plan()->peak_bytes > before);
        QVERIFY(!studio.window.draft().set("train.batch_size", -1));
        QCOMPARE(studio.window.draft().recipe().train.batch_size, 32);
    }
    void layers_are_picked_in_the_models_tree_by_keys_alone() {
        Studio studio(*theme_, settings());
        studio.window.draft().set("method.target_modules", Json::array({"q_proj"}));
        studio.window.train_page()->go_to_field("method.target_modules");
        auto* field = studio.window.findChild<FieldEditor*>("method.target_modules");
        auto* open = field->findChild<QToolButton*>();
        open->setFocus();
        QTest::keyClick(open, Qt::Key_Space);
        auto* picker = studio.window.findChild<TargetPicker*>();
        QVERIFY(picker && picker->isVisible());
        QCOMPARE(picker->tree().chosen(), std::size_t(30));
        auto* view = picker->findChild<QTreeView*>();
        QCOMPARE(picker->focusWidget(), view);
        QTest::keyClick(view, Qt::Key_Down);   // the first kind, checked
        QTest::keyClick(view, Qt::Key_Right);  // opened
        QTest::keyClick(view, Qt::Key_Down);
        QTest::keyClick(view, Qt::Key_Space);  // its first layer is taken out
        QCOMPARE(picker->tree().chosen(), std::size_t(29));
        QTest::keyClick(view, Qt::Key_Space);  // and in again
        QCOMPARE(picker->entries(), std::vector<std::string>{"q_proj"});
        picker->tree().choose_none();
        QPushButton* use = nullptr;
        for (auto* button : picker->findChildren<QPushButton*>())
            if (button->text() == "Use these layers") use = button;
        QVERIFY(!use->isEnabled() && !use->toolTip().isEmpty());
        picker->tree().choose_attention();
        use->click();
        QCOMPARE(studio.window.draft().recipe().method.target_modules,
                 (std::vector<std::string>{"q_proj", "k_proj", "v_proj", "o_proj"}));
        QCOMPARE(field->value().dump(), std::string(R"(["q_proj","k_proj","v_proj","o_proj"])"));
    }
    void nothing_starts_while_a_field_is_mistyped() {
        Studio studio(*theme_, settings());
        FieldEditor* rank = nullptr;
        for (FieldEditor* editor : studio.window.train_page()->findChildren<FieldEditor*>())
            if (editor->field().key == "method.rank") rank = editor;
        auto* line = rank->input()->findChild<QLineEdit*>();
        line->selectAll();
        QTest::keyClicks(line, "many");
        QCOMPARE(studio.start_button()->text(), "Correct “Rank”");
        QVERIFY(!studio.start_button()->isEnabled());
        line->selectAll();
        QTest::keyClicks(line, "8");
        QCOMPARE(studio.start_button()->text(), "Start");
        QCOMPARE(studio.window.draft().recipe().method.rank, 8);
    }
    void a_run_that_fails_says_why_on_the_live_page() {
        Studio studio(*theme_, settings());
        studio.window.start_run();
        studio.engine.events = {train::Failed{.code = "data.row",
                                              .message = "support.jsonl, line 17: expected an object",
                                              .where = "support.jsonl, line 17",
                                              .hint = "Correct the line.",
                                              .input = true}};
        studio.engine.play();
        QTest::qWait(100);
        QVERIFY(studio.window.live_page()->error()->isVisible());
        QVERIFY(studio.window.live_page()->error()->details().contains("line 17"));
        QVERIFY(!studio.window.live_run().active());
    }
    void closing_asks_before_it_stops_a_run_and_saves() {
        Studio studio(*theme_, settings());
        studio.window.start_run();
        studio.engine.play(10);
        studio.dialogs.answer = 1;  // keep running
        studio.window.close();
        QVERIFY(studio.window.isVisible());
        QCOMPARE(studio.dialogs.asked.size(), std::size_t(1));
        QVERIFY(studio.dialogs.asked.front().text.contains("step 10 of 156"));
        QVERIFY(!studio.engine.calls.contains("stop_and_save"));
        studio.dialogs.answer = 0;
        studio.window.close();
        QVERIFY(studio.window.isVisible());
        QCOMPARE(studio.engine.calls.last(), "stop_and_save");
        studio.engine.set_state(RunState::idle);
        QVERIFY(!studio.window.isVisible());
    }
    void an_interrupted_run_is_offered_again() {
        Studio studio(*theme_, settings());
        runs::Run run;
        run.name = "<b>banking r16</b>";
        run.folder = "/runs/banking-1";
        run.steps_done = 40;
        run.steps = 156;
        emit studio.engine.recovered({run});  // it has no checkpoint
        QPushButton* go_on = nullptr;
        for (QPushButton* button : studio.window.findChildren<QPushButton*>())
            if (button->text() == "Go on with it") go_on = button;
        QVERIFY(go_on && !go_on->isVisible());
        run.resumable = true;
        emit studio.engine.recovered({run});
        QVERIFY(go_on->isVisible());
        go_on->click();
        QCOMPARE(studio.engine.calls.last(), "resume /runs/banking-1");
    }
    void it_comes_back_as_it_was_left() {
        {
            Studio studio(*theme_, settings());
            studio.window.draft().set("method.rank", 64);
            studio.window.show_page(Page::runs);
            studio.window.train_page()->set_advanced(true);
            studio.window.train_page()->cards().back()->set_unfolded(false, false);
            studio.window.resize(1400, 800);
            studio.window.close();
        }
        Studio studio(*theme_, settings());
        QCOMPARE(studio.window.draft().recipe().method.rank, 64);
        QCOMPARE(studio.window.page(), Page::runs);
        QVERIFY(studio.window.train_page()->advanced());
        QVERIFY(!studio.window.train_page()->cards().back()->unfolded());
        QVERIFY(studio.window.train_page()->cards().front()->unfolded());
    }
    void broken_settings_start_afresh() {
        {
            QSettings settings(this->settings(), QSettings::IniFormat);
            settings.setValue("recipe", QByteArray("{\"method\": {\"rank\": "));
            settings.setValue("page", "nowhere");
        }
        Studio studio(*theme_, settings());
        QCOMPARE(studio.window.page(), Page::train);
        QCOMPARE(studio.window.draft().recipe().method.rank, 16);
    }
    void the_palette_reaches_every_setting_by_keys_alone() {
        Studio studio(*theme_, settings());
        QVERIFY(QTest::qWaitForWindowExposed(&studio.window));
        studio.window.open_palette();
        auto* palette = studio.window.findChild<CommandPalette*>();
        QVERIFY(palette->isVisible());
        QTest::keyClicks(palette->line(), "warm");
        QTest::keyClick(palette->line(), Qt::Key_Return);
        QVERIFY(!palette->isVisible());
        QVERIFY(studio.window.train_page()->advanced());
        QTest::keyClick(&studio.window, Qt::Key_K, Qt::ControlModifier);
        QTest::keyClicks(palette->line(), "go to runs");
        QTest::keyClick(palette->line(), Qt::Key_Return);
        QCOMPARE(studio.window.page(), Page::runs);
    }
    void dropped_models_and_data_are_taken() {
        Studio studio(*theme_, settings());
        const QString data = folder_->filePath("support.jsonl"), model = folder_->filePath("model.gguf"),
                      other = folder_->filePath("x.exe");
        for (const QString& path : {data, model, other}) {
            QFile file(path);
            QVERIFY(file.open(QIODevice::WriteOnly));
        }
        drop(studio.window, data);
        QCOMPARE(studio.window.draft().recipe().data.train, data.toStdString());
        drop(studio.window, model);
        QCOMPARE(studio.window.draft().recipe().model, model.toStdString());
        drop(studio.window, other);
        QCOMPARE(studio.window.draft().recipe().model, model.toStdString());
    }
    void a_dropped_model_that_is_refused_says_why_on_its_card() {
        Studio studio(*theme_, settings());
        Card* card = studio.window.train_page()->cards()[0];
        card->set_unfolded(false, false);
        studio.engine.model_error = input_error("model.config", folder_->path().toStdString() + "/config.json",
                                                "a model folder needs a config.json; there is none", "Choose another folder.");
        studio.window.show_page(Page::runs);
        drop(studio.window, folder_->path());
        QCOMPARE(studio.window.draft().recipe().model, folder_->path().toStdString());
        QCOMPARE(studio.window.page(), Page::train);
        auto* error = card->findChild<ErrorPanel*>();
        QVERIFY(error->isVisible());
        QVERIFY(error->details().contains("needs a config.json") && error->details().contains("Choose another folder."));
        for (auto* button : error->findChildren<QPushButton*>())
            if (button->text() == "Copy details") button->click();
        QCOMPARE(QApplication::clipboard()->text(), error->details());
        studio.engine.model_error.reset();
        drop(studio.window, QFileInfo(folder_->path()).path());
        QVERIFY(!error->isVisible());
    }
    void what_of_a_model_is_not_used_stands_on_its_card() {
        Studio studio(*theme_, settings());
        Card* card = studio.window.train_page()->cards()[0];
        studio.engine.model.notices = {"The pooler is not read: nothing here uses it."};
        studio.engine.model.encoder_layers = 12;
        studio.engine.model.chat_template = false;
        studio.window.draft().choose_model("/models/other");
        QTest::qWait(50);  // the new rows are shown
        QStringList texts;
        for (const auto* label : card->findChildren<QLabel*>())
            if (label->isVisible()) texts << label->text();
        QVERIFY(texts.contains("The pooler is not read: nothing here uses it."));
        const QString facts = texts.join('\n');
        for (const char* fact : {"Llama", "135M parameters", "8k context", "Q4_1", "12 + 30 layers", "no chat template",
                                 "byte-level BPE", "Apache-2.0"})
            QVERIFY2(facts.contains(fact), fact);
        studio.engine.model.notices.clear();
        studio.window.draft().choose_model("/models/third");
        QVERIFY(QTest::qWaitFor([&] { return card->findChildren<NoticeRow*>().isEmpty(); }));
    }
    void another_task_guesses_the_columns_anew() {
        Studio studio(*theme_, settings());
        RecipeDraft& draft = studio.window.draft();
        auto* task = studio.window.train_page()->findChild<FieldEditor*>("task");
        QVERIFY(task && task->isVisibleTo(studio.window.train_page()));
        auto* box = qobject_cast<QComboBox*>(task->input());
        QCOMPARE(box->currentText(), "Chat / text");
        draft.set("data.columns.prompt", "question");
        draft.set("data.columns.completion", "answer");
        box->setCurrentIndex(box->findText("Classification"));
        emit box->activated(box->currentIndex());
        QCOMPARE(draft.recipe().task, recipe::Task::classification);
        QCOMPARE(draft.recipe().data.columns, recipe::Columns());
        QVERIFY(draft.problems().empty());
        draft.set("data.columns.label", "sentiment");
        draft.set("data.problem_type", "regression");
        box->setCurrentIndex(box->findText("Sequence to sequence"));
        emit box->activated(box->currentIndex());
        QCOMPARE(draft.recipe().data.columns, recipe::Columns());
        QVERIFY(draft.problems().empty());
    }
    void a_classifiers_run_shows_its_quality_and_labels() {
        Studio studio(*theme_, settings());
        studio.window.resize(1280, 720);
        studio.start_button()->click();
        auto* quality = studio.window.live_page()->findChild<QualityChart*>();
        studio.engine.play();
        QVERIFY(!quality->isVisible());
        studio.window.live_run().begin({}, "/runs/reviews-1");
        for (auto event : studio.engine.events) {
            if (auto* evaluated = std::get_if<train::Evaluated>(&event)) {
                const double share = 0.9 - 0.5 * std::exp(-double(evaluated->step) / 40);
                evaluated->metrics = {{"accuracy", share}, {"macro_f1", share - 0.05}};
                evaluated->samples = {{"Warm and very funny.", "positive", "negative", "positive"},
                                      {"Not one laugh in two hours.", "negative", "negative", "positive"}};
            }
            studio.window.live_run().take(event);
        }
        QVERIFY(QTest::qWaitFor([&] { return quality->isVisible(); }));
        QCOMPARE(quality->curves(), std::size_t(2));
        quality->redraw_now();
        QCOMPARE(quality->drawn_points(0), std::size_t(6));
        QStringList texts;
        QStringList marks;
        for (const auto* label : studio.window.live_page()->findChild<LiveAnswers*>()->findChildren<QLabel*>()) {
            texts << label->text();
            if (!label->accessibleName().isEmpty() && label->text().isEmpty()) marks << label->accessibleName();
        }
        QVERIFY(texts.contains("Warm and very funny.") && texts.contains("In the data") && !texts.contains("Question"));
        QCOMPARE(marks, (QStringList{"right", "wrong", "wrong", "right"}));
        shoot(studio, "live-classify", Page::live);
        // Another run without such figures has the room back.
        studio.window.live_run().begin({}, "/runs/other");
        QVERIFY(!quality->isVisible());
        QCOMPARE(quality->curves(), std::size_t(0));
    }
    void everything_that_takes_the_focus_has_a_name() {
        Studio studio(*theme_, settings());
        studio.window.train_page()->set_advanced(true);
        for (QWidget* widget : studio.window.findChildren<QWidget*>()) {
            auto* button = qobject_cast<QAbstractButton*>(widget);
            if (!button || !(button->focusPolicy() & Qt::TabFocus)) continue;
            QVERIFY2(!button->accessibleName().isEmpty() || !button->text().isEmpty(), qPrintable(describe(button)));
        }
    }
    void a_run_never_blocks_the_window() {
        Studio studio(*theme_, settings());
        QVERIFY(QTest::qWaitForWindowExposed(&studio.window));
        studio.window.start_run();
        QTest::qWait(200);
        studio.window.latency().start();
        for (int step = 1; step <= 156; step += 3) {
            studio.engine.play(step);
            QTest::qWait(10);
        }
        studio.engine.play();
        QTest::qWait(200);
        const double worst = studio.window.latency().worst_ms();
        qInfo("the longest block of the UI thread: %.1f ms", worst);
        QVERIFY2(worst < 100, qPrintable(QString::number(worst)));
    }
    // QLORA_SHOTS=folder keeps the pictures, to be looked at.
    void every_page_draws_in_both_themes_at_1280x720() {
        Studio studio(*theme_, settings());
        studio.window.setGeometry(0, 0, 1280, 720);
        QVERIFY(QTest::qWaitForWindowExposed(&studio.window));
        memory::Reading reading;
        reading.machine_bytes = 16'000'000'000;
        reading.machine_available_bytes = 12'300'000'000;
        reading.live = std::get<train::StepDone>(studio.engine.events[1]).bytes;
        emit studio.engine.metered(reading);
        shoot(studio, "train", Page::train);
        studio.window.train_page()->set_advanced(true);
        shoot(studio, "train-advanced", Page::train);
        shoot_picker(studio);
        studio.window.train_page()->set_advanced(false);
        studio.window.train_page()->choose_data();
        shoot(studio, "train-choose", Page::train);
        studio.window.show_page(Page::live);
        shoot(studio, "live-empty", Page::live);
        studio.window.start_run();
        studio.engine.play(120);
        shoot(studio, "live", Page::live);
        studio.engine.play();
        shoot(studio, "live-finished", Page::live);
        studio.window.show_page(Page::train);
        studio.window.open_palette();
        QTest::keyClicks(studio.window.findChild<CommandPalette*>()->line(), "rate");
        shoot(studio, "palette", Page::train);
        QTest::keyClick(studio.window.findChild<CommandPalette*>()->line(), Qt::Key_Escape);
        for (Page page : {Page::data, Page::evaluate, Page::runs}) shoot(studio, page_name(page), page);
    }

  private:
    QString settings() const { return folder_->filePath("studio.ini"); }

    static void drop(MainWindow& window, const QString& path) {
        QMimeData data;
        data.setUrls({QUrl::fromLocalFile(path)});
        QDropEvent event(QPointF(100, 100), Qt::CopyAction, &data, Qt::LeftButton, Qt::NoModifier);
        static_cast<QObject&>(window).event(&event);
    }

    static QString describe(QWidget* widget) {
        QString path = widget->metaObject()->className();
        for (QWidget* up = widget->parentWidget(); up; up = up->parentWidget()) path.prepend(QString(up->metaObject()->className()) + '/');
        return path;
    }

    void shoot_picker(Studio& studio) {
        studio.window.findChild<FieldEditor*>("method.target_modules")->findChild<QToolButton*>()->click();
        auto* picker = studio.window.findChild<TargetPicker*>();
        auto* view = picker->findChild<QTreeView*>();
        picker->tree().choose({"q_proj", "v_proj", "model.layers.4.mlp.up_proj"});
        view->expand(picker->tree().index(0, 0));
        view->expand(picker->tree().index(2, 0, picker->tree().index(0, 0)));
        shoot(*picker, "train-targets");
        picker->reject();
    }

    void shoot(Studio& studio, const QString& name, Page page) {
        studio.window.show_page(page);
        QCOMPARE(studio.window.size(), QSize(1280, 720));
        shoot(studio.window, name);
    }

    void shoot(QWidget& widget, const QString& name) {
        for (const auto scheme : {theme::Scheme::light, theme::Scheme::dark}) {
            theme_->set_scheme(scheme);
            QTest::qWait(qEnvironmentVariableIsSet("QLORA_SHOTS") ? 800 : 120);
            const QImage image = widget.grab().toImage();
            QCOMPARE(image.size(), widget.size());
            const QString folder = qEnvironmentVariable("QLORA_SHOTS");
            if (!folder.isEmpty())
                QVERIFY(image.save(QDir(folder).filePath(
                    name + (scheme == theme::Scheme::dark ? "-dark.png" : "-light.png"))));
        }
        theme_->set_scheme(theme::Scheme::light);
    }

    std::unique_ptr<theme::Theme> theme_;
    std::unique_ptr<QTemporaryDir> folder_;
};

QTEST_MAIN(MainWindowTest)
#include "main_window_test.moc"
