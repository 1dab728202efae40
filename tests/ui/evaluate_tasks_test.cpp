// Figures of every task on the Evaluate page, over constructed reports.
#include <QAbstractItemModelTester>
#include <QComboBox>
#include <QCheckBox>
#include <QDir>
#include <QLabel>
#include <QListView>
#include <QPlainTextEdit>
#include <QSignalSpy>
#include <QTableView>
#include <QTest>

#include "tests/ui/recorded_services.h"
#include "ui/models/class_figures_model.h"
#include "ui/models/metric.h"
#include "ui/models/predictions_model.h"
#include "ui/pages/evaluate_classes.h"
#include "ui/pages/evaluate_confusion.h"
#include "ui/pages/evaluate_page.h"
#include "ui/pages/evaluate_scoreboard.h"
#include "ui/pages/evaluate_try.h"
#include "ui/theme/theme.h"
#include "ui/widgets/segmented_control.h"

using namespace qlora;
using namespace qlora::ui;

namespace {

class TriedChat : public QuietChat {
  public:
    void ask(const std::vector<evaluate::Message>& base, const std::vector<evaluate::Message>& tuned,
             const evaluate::GenerateOptions&) override {
        asked = {base.at(0).content, tuned.at(0).content};
    }
    std::vector<std::string> asked;
};

using Matrix = std::vector<std::vector<std::int64_t>>;

// What core/evaluate makes of a matrix, without LibTorch.
evaluate::Classification classification_of(const Matrix& matrix, const std::vector<std::string>& names) {
    evaluate::Classification made;
    made.confusion = matrix;
    std::int64_t right = 0;
    double sum = 0;
    for (std::size_t i = 0; i < names.size(); ++i) {
        evaluate::ClassFigures one{.name = names[i]};
        for (std::size_t k = 0; k < names.size(); ++k) one.rows += matrix[i][k], one.predicted += matrix[k][i];
        one.right = matrix[i][i];
        one.precision = one.predicted ? double(one.right) / double(one.predicted) : 0;
        one.recall = one.rows ? double(one.right) / double(one.rows) : 0;
        one.f1 = one.right ? 2 * double(one.right) / double(one.rows + one.predicted) : 0;
        right += one.right, made.rows += one.rows, sum += one.f1;
        made.classes.push_back(one);
    }
    made.accuracy = double(right) / double(made.rows);
    made.macro_f1 = sum / double(names.size());
    return made;
}

evaluate::Contender classifier(const std::string& name, double loss, const Matrix& matrix, const std::vector<std::string>& labels,
                               const std::vector<std::string>& answers) {
    evaluate::Contender made;
    made.name = name;
    made.loss = loss;
    made.tokens = 5120;
    made.answers = answers;
    made.classification = classification_of(matrix, labels);
    made.rows = made.classification->rows;
    made.metrics = {{"accuracy", made.classification->accuracy}, {"macro_f1", made.classification->macro_f1}};
    return made;
}

evaluate::Report support_report() {
    evaluate::Report report;
    report.task = recipe::Task::classification;
    report.split = "test";
    report.rows = 200;
    report.labels = {"card lost", "card stolen", "exchange rate wrong", "password forgotten", "transfer pending"};
    report.contenders = {
        classifier("base", 1.52, {{9, 14, 8, 5, 4}, {11, 13, 6, 7, 3}, {6, 4, 15, 8, 7}, {9, 3, 7, 14, 7}, {5, 6, 8, 9, 12}},
                   report.labels, {"card stolen", "card stolen", "password forgotten", "transfer pending"}),
        classifier("tuned", 0.231, {{34, 6, 0, 0, 0}, {5, 35, 0, 0, 0}, {0, 0, 39, 0, 1}, {0, 1, 0, 39, 0}, {0, 0, 2, 0, 38}},
                   report.labels, {"card lost", "card lost", "exchange rate wrong", "transfer pending"})};
    report.questions = {"I lost my card yesterday, what should I do?", "Someone took my card out of my bag!",
                        "Why was 1 euro not 1.09 dollars when I paid in Boston?",
                        "I sent my landlord the rent on Friday and it has not arrived yet, nor has it come back. Where is it?"};
    report.expected = {"card lost", "card stolen", "exchange rate wrong", "transfer pending"};
    return report;
}

evaluate::Report stars_report() {
    evaluate::Report report;
    report.task = recipe::Task::classification;
    report.split = "validation";
    report.questions = {"A film to forget.", "Warm and funny."};
    report.expected = {"1.5", "10"};
    for (const auto& [name, error, pearson] : {std::tuple("base", 2.31, 0.08), std::tuple("tuned", 0.62, 0.87)}) {
        evaluate::Contender contender{name, error * error, 0, 40, 900, {"9.5", "8.25"}};
        contender.regression = evaluate::Regression{40, error * error, error, pearson, pearson};
        contender.metrics = {{"mean_absolute_error", error}, {"pearson", pearson}, {"spearman", pearson},
                             {"mean_squared_error", error * error}};
        report.contenders.push_back(contender);
    }
    return report;
}

evaluate::Report topics_report() {
    evaluate::Report report;
    report.task = recipe::Task::classification;
    report.split = "test";
    evaluate::Contender tuned{"tuned", 0.21, 0, 40, 900, {"sport, politics"}};
    tuned.multi_label = evaluate::MultiLabel{40, 0.6, 0.81, 0.77, {{"politics", 20, 18, 15, 0.83, 0.75, 0.79}, {"sport", 9, 9, 8, 0.89, 0.89, 0.89}}};
    tuned.metrics = {{"exact_match", 0.6}, {"micro_f1", 0.81}, {"macro_f1", 0.77}};
    report.contenders = {tuned};
    report.questions = {"The minister opened the games."};
    report.expected = {"sport, politics"};
    return report;
}

evaluate::Report translation_report() {
    evaluate::Report report;
    report.task = recipe::Task::seq2seq;
    report.split = "test";
    report.questions = {"translate English to German: Where is the station?"};
    report.expected = {"Wo ist der Bahnhof?"};
    report.contenders = {{"base", 3.1, 22.2, 38, 1900, {"Wo Station?"}, {{"chrf", 21.4}, {"exact_match", 0.0}}},
                         {"tuned", 1.02, 2.77, 38, 1900, {"Wo ist der Bahnhof?"}, {{"chrf", 68.9}, {"exact_match", 0.421}}}};
    return report;
}

bool shows(const QWidget& page, const QString& text) {
    QCoreApplication::processEvents();  // widgets made since are shown
    for (const auto* label : page.findChildren<QLabel*>())
        if (label->isVisible() && label->text() == text) return true;
    return false;
}

template <class View>
View* named(const QWidget& page, const QString& name) {
    for (auto* found : page.findChildren<View*>())
        if (found->accessibleName() == name) return found;
    return nullptr;
}

}  // namespace

class EvaluateTasksTest : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase() {
        theme_ = std::make_unique<theme::Theme>(*qApp, theme::Scheme::light);
        theme_->set_reduced_motion(true);
    }

    void a_classifier_is_measured_by_accuracy_and_f1_beside_the_loss() {
        EvaluateScoreboard board;
        board.resize(1140, 560);
        board.show();
        board.set_report(support_report());
        for (const char* text : {"31.5 %", "92.5 %", "1.52", "0.231", "Accuracy", "Macro F1", "Loss", "+61.0 points",
                                 "better on the held-out rows"})
            QVERIFY2(shows(board, text), text);
        QVERIFY(!shows(board, "Perplexity"));
        QVERIFY(shows(board, "Example rows"));
    }

    void worse_is_said_to_be_worse_whichever_way_is_better() {
        EvaluateScoreboard board;
        board.resize(1140, 560);
        board.show();
        auto report = support_report();
        std::swap(report.contenders[0].metrics, report.contenders[1].metrics);
        board.set_report(report);
        QVERIFY(shows(board, "−61.0 points"));
        QVERIFY(shows(board, "worse on the held-out rows"));
        report = stars_report();
        board.set_report(report);
        QVERIFY(shows(board, "−1.69"));  // of an error
        QVERIFY(shows(board, "better on the held-out rows"));
    }

    void answers_of_a_translator_by_chrf_and_exact_match() {
        EvaluateScoreboard board;
        board.resize(1140, 560);
        board.show();
        board.set_report(translation_report());
        for (const char* text : {"68.9", "42.1 %", "2.77", "1.02", "+47.5", "chrF", "Exact match", "Perplexity"})
            QVERIFY2(shows(board, text), text);
        QVERIFY(!board.findChild<ConfusionView*>()->isVisible());
    }

    void classes_of_the_tuned_model_first_and_of_the_base_on_demand() {
        EvaluateClasses classes;
        classes.resize(1140, 400);
        classes.show();
        classes.set_report(support_report());
        auto* table = named<QTableView>(classes, "Figures of each class");
        auto* matrix = classes.findChild<ConfusionView*>();
        QVERIFY(table->isVisible() && matrix->isVisible());
        QCOMPARE(table->model()->index(0, ClassFiguresModel::recall_column).data().toString(), "85.0 %");
        QCOMPARE(matrix->model()->index(0, 1).data().toString(), "6");
        auto* choice = classes.findChild<QComboBox*>();
        QCOMPARE(choice->currentText(), "Tuned");
        choice->setCurrentIndex(0);
        QCOMPARE(table->model()->index(0, ClassFiguresModel::recall_column).data().toString(), "22.5 %");
        QCOMPARE(matrix->model()->index(0, 1).data().toString(), "14");
    }

    void classes_are_sorted_by_any_figure() {
        EvaluateClasses classes;
        classes.set_report(support_report());
        auto* table = named<QTableView>(classes, "Figures of each class");
        QCOMPARE(table->model()->index(0, 0).data().toString(), "card lost");
        table->sortByColumn(ClassFiguresModel::f1_column, Qt::DescendingOrder);
        QCOMPARE(table->model()->index(0, 0).data().toString(), "password forgotten");
        table->sortByColumn(ClassFiguresModel::name_column, Qt::DescendingOrder);
        QCOMPARE(table->model()->index(0, 0).data().toString(), "transfer pending");
    }

    void labels_of_many_have_no_matrix() {
        EvaluateClasses classes;
        classes.resize(1140, 400);
        classes.show();
        classes.set_report(topics_report());
        QVERIFY(named<QTableView>(classes, "Figures of each class")->isVisible());
        QVERIFY(!classes.findChild<ConfusionView*>()->isVisible());
        QVERIFY(!classes.findChild<QComboBox*>()->isVisible());
        classes.set_report(support_report());
        QVERIFY(classes.findChild<ConfusionView*>()->isVisible());
    }

    void the_matrix_is_walked_by_arrow_keys_and_reads_aloud() {
        ConfusionView view;
        view.resize(600, 400);
        view.show();
        view.set_matrix({{3, 1, 0}, {0, 0, 0}, {0, 2, 5}}, {"no", "50 %1 off", "yes"});
        QAbstractItemModelTester tester(view.model(), QAbstractItemModelTester::FailureReportingMode::QtTest);
        view.setFocus();
        QTest::keyClick(&view, Qt::Key_Right);
        QCOMPARE(view.currentIndex().column(), 1);
        QCOMPARE(view.currentIndex().data(Qt::AccessibleTextRole).toString(),
                 "“no”: 1 of 4 rows are taken for “50 %1 off” (25 %)");
        QTest::keyClick(&view, Qt::Key_Down);
        QCOMPARE(view.currentIndex().data(ConfusionModel::ShareRole).toDouble(), 0.0);
        QVERIFY(view.currentIndex().data(ConfusionModel::RightRole).toBool());
        QCOMPARE(view.model()->index(2, 2).data(Qt::AccessibleTextRole).toString(), "“yes”: 5 of 7 rows are found (71 %)");
        QVERIFY(view.model()->index(2, 1).data(Qt::ToolTipRole).toString().contains("taken for “50 %1 off”"));
    }

    void names_of_classes_are_not_cut() {
        ConfusionView view;
        view.resize(560, 400);
        view.show();
        const auto report = support_report();
        QStringList names;
        for (const auto& label : report.labels) names << QString::fromStdString(label);
        view.set_matrix(report.contenders[1].classification->confusion, names);
        const QFontMetrics metrics(theme::dim_font());
        int longest = 0;
        for (const auto& name : names) longest = std::max(longest, metrics.horizontalAdvance(name));
        QVERIFY(view.verticalHeader()->width() >= longest);
        QVERIFY(view.horizontalHeader()->height() >= longest || view.columnWidth(0) >= longest);
        // All cells of five classes are in sight.
        QVERIFY(view.viewport()->width() >= 5 * view.columnWidth(0));
    }

    void counts_stand_out_from_every_shade() {
        for (const auto scheme : {theme::Scheme::light, theme::Scheme::dark}) {
            theme_->set_scheme(scheme);
            for (const bool right : {true, false})
                for (int share = 0; share <= 100; ++share) {
                    const QColor ground = ConfusionView::ground(share / 100.0, right);
                    QVERIFY(theme::contrast(ConfusionView::ink(ground), ground) >= 4.5);
                }
            QVERIFY(ConfusionView::ground(0.5, true) != ConfusionView::ground(0.5, false));
            QVERIFY(ConfusionView::ground(0.2, true) != ConfusionView::ground(0.9, true));
        }
        theme_->set_scheme(theme::Scheme::light);
    }

    void wrong_predictions_are_marked_by_more_than_colour_and_can_be_picked_out() {
        PredictionsModel model;
        QAbstractItemModelTester tester(&model, QAbstractItemModelTester::FailureReportingMode::QtTest);
        model.set_report(support_report());
        QCOMPARE(model.columnCount(), 4);
        QCOMPARE(model.headerData(3, Qt::Horizontal).toString(), "Tuned");
        QCOMPARE(model.index(1, 3).data(PredictionsModel::WrongRole), QVariant(true));
        QCOMPARE(model.index(1, 3).data(Qt::AccessibleTextRole).toString(), "card lost, wrong");
        QCOMPARE(model.index(0, 3).data(Qt::AccessibleTextRole).toString(), "card lost, right");
        QVERIFY(!model.index(0, 1).data(PredictionsModel::WrongRole).isValid());

        EvaluateClasses classes;
        classes.resize(1140, 400);
        classes.show();
        classes.set_report(support_report());
        classes.findChild<SegmentedControl*>()->set_current(0);
        auto* rows = named<QTableView>(classes, "Predictions");
        QCOMPARE(rows->model()->rowCount(), 4);
        classes.findChild<QCheckBox*>()->setChecked(true);
        QCOMPARE(rows->model()->rowCount(), 1);
        QCOMPARE(rows->model()->index(0, 0).data().toString(), "Someone took my card out of my bag!");
    }

    void numbers_are_neither_right_nor_wrong_and_sorted_as_numbers() {
        EvaluateClasses classes;
        classes.resize(1140, 400);
        classes.show();
        classes.set_report(stars_report());
        auto* rows = named<QTableView>(classes, "Predictions");
        QVERIFY(rows->isVisible());
        QVERIFY(!classes.findChild<QCheckBox*>()->isVisible());
        QVERIFY(!rows->model()->index(0, 3).data(PredictionsModel::WrongRole).isValid());
        rows->sortByColumn(PredictionsModel::expected_column, Qt::AscendingOrder);
        QCOMPARE(rows->model()->index(0, 1).data().toString(), "1.5");
        QCOMPARE(rows->model()->index(1, 1).data().toString(), "10");
    }

    void a_contender_that_was_not_asked_has_a_dash() {
        auto report = support_report();
        report.contenders[0].answers.clear();
        PredictionsModel model;
        model.set_report(report);
        QCOMPARE(model.index(0, 2).data().toString(), "–");
        QVERIFY(!model.index(0, 2).data(PredictionsModel::WrongRole).isValid());
        report = topics_report();
        report.contenders[0].answers = {""};
        model.set_report(report);
        QCOMPARE(model.index(0, 2).data().toString(), "(none)");
    }

    void a_classifier_is_tried_on_a_text_instead_of_a_chat() {
        TriedChat chat;
        QuietRuns runs;
        RunEntry entry;
        entry.run.id = 1;
        entry.run.folder = "/tmp/runs/first";
        entry.run.status = "completed";
        entry.has_adapter = true;
        runs.entries = {entry};
        EvaluatePage page(chat, runs);
        page.resize(1140, 640);
        page.show();
        emit chat.measured(support_report());
        auto* view = named<SegmentedControl>(page, "View");
        view->set_current(1);
        auto* text = named<QPlainTextEdit>(page, "Text to classify");
        QVERIFY(text->isVisible() && !named<QPlainTextEdit>(page, "Prompt")->isVisible());
        text->setFocus();
        QTest::keyClicks(text, "my card is gone");
        QTest::keyClick(text, Qt::Key_Return);
        QCOMPARE(chat.asked, (std::vector<std::string>{"my card is gone", "my card is gone"}));
        auto* tuned = named<QListView>(page, "What the tuned model says");
        QVERIFY(!tuned->isVisible());
        emit chat.answered(Side::base, {"", {{"card stolen", 0.31}, {"card lost", 0.29}}});
        emit chat.answered(Side::tuned, {"", {{"card lost", 0.968}, {"card stolen", 0.0321}, {"exchange rate wrong", 0}}});
        emit chat.chat_ended();
        QVERIFY(tuned->isVisible());
        QCOMPARE(tuned->model()->index(0, 0).data(Qt::AccessibleTextRole).toString(), "card lost: 96.8 %");
        QCOMPARE(named<QListView>(page, "What the base model says")->model()->index(0, 0).data().toString(), "card stolen");
        shoot(page, "evaluate-try");
        // Another task, another view; answers to a chat are not taken for labels.
        emit chat.measured(translation_report());
        QVERIFY(named<QPlainTextEdit>(page, "Prompt")->isVisible() && !text->isVisible());
    }

    void a_try_that_ends_without_an_answer_says_so() {
        TriedChat chat;
        EvaluateTry pane(chat);
        pane.show();
        QSignalSpy answering(&pane, &EvaluateTry::answering_changed);
        pane.ask("text");
        QVERIFY(pane.answering());
        emit chat.chat_ended();
        QVERIFY(!pane.answering());
        QCOMPARE(answering.count(), 2);
        QVERIFY(shows(pane, "No answer."));
        pane.set_blocked("A run is going");
        pane.ask("again");
        QVERIFY(!pane.answering());
    }

    void values_have_no_bars() {
        LabelScoresModel model;
        model.set_scores({{"value", 3.5}}, true);
        QCOMPARE(model.index(0).data(LabelScoresModel::ScoreTextRole).toString(), "3.50");
        QVERIFY(std::isnan(model.index(0).data(LabelScoresModel::ShareRole).toDouble()));
        model.set_scores({{"yes", 0.25}}, false);
        QCOMPARE(model.index(0).data(LabelScoresModel::ShareRole).toDouble(), 0.25);
    }

    void a_metric_without_a_name_is_shown_by_its_key() {
        evaluate::Contender contender;
        contender.metrics = {{"accuracy", 0.5}};
        QVERIFY(std::isnan(value_of(contender, "chrf")));
        QVERIFY(std::isnan(value_of(contender, "perplexity")));
        QCOMPARE(value_of(contender, "accuracy"), 0.5);
        QCOMPARE(metric_of("bleurt").name, "bleurt");
        QVERIFY(!metric_of("bleurt").known);
        QCOMPARE(metric_of("accuracy").text(NAN), "–");
        QCOMPARE(metric_of("pearson").text(-0.25), "−0.250");
        evaluate::Report empty;
        empty.task = recipe::Task::classification;
        QCOMPARE(shown_metrics(empty), (std::vector<std::string>{"accuracy", "macro_f1", "loss"}));
    }

    void it_draws_in_both_themes() {
        EvaluateScoreboard board;
        board.resize(1140, 560);
        board.setAttribute(Qt::WA_StyledBackground);
        board.show();
        board.set_report(support_report());
        shoot(board, "evaluate-classes");
        board.findChild<EvaluateClasses*>()->findChild<SegmentedControl*>()->set_current(0);
        shoot(board, "evaluate-predictions");
        board.set_report(stars_report());
        shoot(board, "evaluate-regression");
        board.set_report(translation_report());
        shoot(board, "evaluate-seq2seq");
        board.set_report(topics_report());
        shoot(board, "evaluate-topics");
    }

  private:
    void shoot(QWidget& widget, const QString& name) {
        for (const auto scheme : {theme::Scheme::light, theme::Scheme::dark}) {
            theme_->set_scheme(scheme);
            QTest::qWait(60);
            const QImage image = widget.grab().toImage();
            QCOMPARE(image.size(), widget.size());
            const QString folder = qEnvironmentVariable("QLORA_SHOTS");
            if (!folder.isEmpty())
                QVERIFY(image.save(QDir(folder).filePath(name + (scheme == theme::Scheme::dark ? "-dark.png" : "-light.png"))));
        }
        theme_->set_scheme(theme::Scheme::light);
    }

    std::unique_ptr<theme::Theme> theme_;
};

QTEST_MAIN(EvaluateTasksTest)
#include "evaluate_tasks_test.moc"
