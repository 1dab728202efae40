// A search and a learning-rate test with real mouse and key events of an X server: set one up, watch it end, open the winner.
#include <QApplication>
#include <QLineEdit>
#include <QPushButton>
#include <QTableView>
#include <QTemporaryDir>
#include <QTest>
#include <QToolButton>

#include "core/base/file.h"
#include "tests/gui/hand.h"
#include "ui/charts/chart.h"
#include "ui/charts/parallel_axes.h"
#include "ui/models/recipe_draft.h"
#include "ui/models/trials_model.h"
#include "ui/pages/rate_dialog.h"
#include "ui/pages/search_dialog.h"
#include "ui/pages/searches_view.h"
#include "ui/pages/train_page.h"

using namespace qlora;
using namespace qlora::ui;

class SearchTest : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase() {
        if (QGuiApplication::platformName() != "xcb") QSKIP("needs an X server: tests/gui/under_xvfb.sh starts one");
        theme_ = std::make_unique<theme::Theme>(*qApp, theme::Scheme::light);
        theme_->set_reduced_motion(true);
    }

    void from_the_search_button_to_the_winner_and_its_learning_rate() {
        QTemporaryDir home;
        std::string rows;
        for (int i = 0; i < 40; ++i)
            rows += Json{{"prompt", "What is number " + std::to_string(i) + "?"}, {"completion", "It is " + std::to_string(i % 7) + " of course."}}.dump() + "\n";
        write_atomically(home.filePath("rows.jsonl").toStdString(), rows);
        Studio studio(home, *theme_);
        MainWindow& window = studio.window;
        QVERIFY(QTest::qWaitForWindowActive(&window));
        recipe::Recipe recipe;
        recipe.model = QLORA_SOURCE_DIR "/tests/golden/tiny_llama/plain";
        recipe.data.train = home.filePath("rows.jsonl").toStdString();
        recipe.data.max_length = 64;
        recipe.train.max_steps = 18;
        recipe.train.batch_size = 4;
        recipe.evaluate.samples = 0;
        window.draft().set_recipe(recipe);

        QWidget* search = find(window, "Search…");
        QTRY_VERIFY_WITH_TIMEOUT(search && search->isEnabled(), 20000);
        QVERIFY(click(*search));
        auto* dialog = window.findChild<SearchDialog*>();
        QVERIFY(dialog && QTest::qWaitForWindowActive(dialog));
        QVERIFY(click(*find(*dialog, "Random")));
        auto* count = find(*dialog, "Runs")->findChild<QLineEdit*>();
        QVERIFY(click(*count, 3) && type("4"));
        QVERIFY(dialog->search() && dialog->search()->runs == 4);
        QVERIFY(click(*dialog->start_button()));
        QCOMPARE(window.page(), Page::runs);
        QTRY_VERIFY(studio.searches.searching());
        QTRY_VERIFY_WITH_TIMEOUT(!studio.searches.searching(), 120000);
        const auto& trials = window.searches_view()->model();
        QTRY_COMPARE(trials.rowCount(), 4);
        QTRY_VERIFY(trials.standing().done());
        QVERIFY(trials.best_row() >= 0);

        // A line of the picture selects its row.
        auto* picture = window.searches_view()->findChild<ParallelAxes*>();
        const int other = trials.best_row() == 0 ? 1 : 0;
        const QPoint at = picture->mapToGlobal((0.6 * picture->point_of(other, 0) + 0.4 * picture->point_of(other, 1)).toPoint());
        QVERIFY(hand({"mousemove", QString::number(at.x()), QString::number(at.y()), "click", "1"}));
        QTRY_COMPARE(picture->selected(), picture->line_at((0.6 * picture->point_of(other, 0) + 0.4 * picture->point_of(other, 1)).toPoint()));
        QVERIFY(picture->selected() >= 0);

        const auto wanted = trials.trial(trials.best_row())->values.at("method.rank").get<std::int64_t>();
        QVERIFY(click(*find(window, "Open the winner as recipe")));
        QCOMPARE(window.page(), Page::train);
        QCOMPARE(window.draft().recipe().method.rank, wanted);

        // And a learning rate for it.
        QWidget* find_rate = find(window, "Find a learning rate");
        QTRY_VERIFY_WITH_TIMEOUT(find_rate && find_rate->isEnabled(), 20000);
        QVERIFY(click(*find_rate));
        auto* rates = window.findChild<RateDialog*>();
        QVERIFY(rates && QTest::qWaitForWindowActive(rates));
        auto* steps = find(*rates, "in steps")->findChild<QLineEdit*>();
        QVERIFY(click(*steps, 3) && type("120"));
        QVERIFY(click(*find(*rates, "Start the test")));
        QTRY_VERIFY_WITH_TIMEOUT(!rates->testing() && rates->suggested() > 0, 120000);
        QVERIFY(rates->chart()->drawn_points(1) > 30);
        const double suggested = rates->suggested();
        QWidget* take = nullptr;
        for (auto* button : rates->findChildren<QAbstractButton*>())
            if (button->text().startsWith("Take ")) take = button;
        QVERIFY(take && click(*take));
        QTRY_COMPARE(window.draft().recipe().train.learning_rate, suggested);
        window.close();
        QVERIFY(!window.isVisible());
    }

  private:
    std::unique_ptr<theme::Theme> theme_;
};

QTEST_MAIN(SearchTest)
#include "search_test.moc"
