// The searches on the Runs page, and the dialogs that begin a search and test learning rates.
#include "ui/pages/searches_view.h"

#include <QComboBox>
#include <QLineEdit>
#include <QPushButton>
#include <QSignalSpy>
#include <QTableView>
#include <QTest>
#include <cmath>

#include "tests/ui/recorded_services.h"
#include "tests/ui/searches.h"
#include "ui/charts/chart.h"
#include "ui/charts/parallel_axes.h"
#include "ui/models/search_draft.h"
#include "ui/models/trials_model.h"
#include "ui/pages/rate_dialog.h"
#include "ui/pages/search_dialog.h"
#include "ui/theme/theme.h"
#include "ui/widgets/error_panel.h"

using namespace qlora;
using namespace qlora::ui;

namespace {

QPushButton* button(const QWidget& in, const QString& text) {
    for (auto* found : in.findChildren<QPushButton*>())
        if (found->text() == text) return found;
    return nullptr;
}

recipe::Recipe some_recipe() { return some_search().search.recipe; }

}  // namespace

class SearchesViewTest : public QObject {
    Q_OBJECT
    std::unique_ptr<theme::Theme> theme_;

  private slots:
    void initTestCase() { theme_ = std::make_unique<theme::Theme>(*qApp, theme::Scheme::light); }

    void an_empty_view_leads_to_setting_one_up() {
        QuietSearches service;
        SearchesView view(service);
        view.show();
        QSignalSpy wanted(&view, &SearchesView::search_requested);
        button(view, "Set up a search")->click();
        QCOMPARE(wanted.count(), 1);
    }

    void the_best_comes_first_and_opens_as_a_recipe() {
        QuietSearches service;
        service.searches = {some_search()};
        SearchesView view(service);
        view.resize(1100, 600);
        view.show();
        auto* table = view.findChild<QTableView*>();
        QCOMPARE(table->model()->index(0, 0).data().toString(), QString::fromUtf8("★ 2"));
        QSignalSpy opened(&view, &SearchesView::recipe_requested);
        button(view, "Open the winner as recipe")->click();
        QCOMPARE(opened.count(), 1);
        QCOMPARE(opened[0][0].toString(), "/searches/reviews-1/best.json");
    }

    void a_line_and_its_row_are_selected_together() {
        QuietSearches service;
        service.searches = {some_search()};
        SearchesView view(service);
        view.resize(1100, 600);
        view.show();
        auto* picture = view.findChild<ParallelAxes*>();
        auto* table = view.findChild<QTableView*>();
        table->selectRow(0);
        QCOMPARE(picture->selected(), 1);
        const QPointF end = picture->point_of(2, 3);
        QCOMPARE(picture->line_at(end), 2);
        QTest::mouseClick(picture, Qt::LeftButton, {}, end.toPoint());
        QCOMPARE(picture->selected(), 2);
        QCOMPARE(table->currentIndex().siblingAtColumn(0).data().toString(), "3");
        // A refresh keeps it.
        auto next = some_search();
        next.trials[5].status = search::Trial::Status::running;
        service.searches = {next};
        service.refresh();
        QCOMPARE(picture->selected(), 2);
    }

    void it_goes_on_and_stops_and_says_why_it_cannot() {
        QuietSearches service;
        service.searches = {some_search()};
        SearchesView view(service);
        view.show();
        view.set_busy("A run is going");
        QVERIFY(!button(view, "Go on")->isEnabled());
        QCOMPARE(button(view, "Go on")->toolTip(), "A run is going");
        view.set_busy({});
        button(view, "Go on")->click();
        QCOMPARE(service.gone_on, QStringList{"/searches/reviews-1"});
        button(view, "Stop")->click();
        QVERIFY(!service.searching());
        for (auto& trial : service.searches[0].trials) trial.status = search::Trial::Status::failed;
        service.refresh();
        QVERIFY(!button(view, "Go on")->isEnabled());
        QVERIFY(!button(view, "Open the winner as recipe")->isEnabled());
    }

    void what_went_wrong_stays_on_the_page() {
        QuietSearches service;
        SearchesView view(service);
        view.show();
        emit service.failed(failure("search.folder", "/searches", "the disk is full", "Make room."));
        QVERIFY(view.findChild<ErrorPanel*>()->details().contains("the disk is full"));
    }

    void every_field_that_can_be_varied_is_offered_with_values_it_takes() {
        using enum recipe::MethodKind;
        search::Search base;
        base.recipe = some_recipe();
        for (auto kind : {lora, full, adapter, prompt_tuning, prefix_tuning, bitfit}) {
            base.recipe.method.kind = kind;
            base.recipe.precision = kind == full ? recipe::Precision::bf16 : recipe::Precision::nf4;
            for (const auto* field : variable_fields(base.recipe)) {
                if (field->type == recipe::Field::Type::path || field->type == recipe::Field::Type::text) continue;
                std::vector<recipe::Problem> problems;
                search_of(base, {suggested_row(*field, base.recipe)}, problems);
                QVERIFY2(problems.empty(), (field->key + ": " + (problems.empty() ? "" : problems[0].field + " expected " + problems[0].expected)).c_str());
            }
            QCOMPARE(suggested_rows(base.recipe).size(), kind == full || kind == bitfit ? 1U : 2U);
        }
    }

    void a_search_is_set_up_with_sensible_values() {
        SearchDialog dialog(some_recipe(), 60.0);
        dialog.show();
        QVERIFY(dialog.search());
        QCOMPARE(dialog.search()->axes.size(), std::size_t(2));
        QCOMPARE(dialog.search()->metric, "accuracy");
        QVERIFY(dialog.search()->strategy == search::Strategy::halving && dialog.search()->maximize);
        const auto& rate = dialog.search()->axes[1];
        QVERIFY(rate.scale == search::Axis::Scale::log && std::abs(rate.low - 2e-5) < 1e-12 && std::abs(rate.high - 2e-3) < 1e-12);
    }

    void a_wrong_value_is_marked_where_it_is_typed() {
        SearchDialog dialog(some_recipe(), {});
        dialog.show();
        dialog.rows()[1]->set_values("4, many");
        QVERIFY(!dialog.search() && !dialog.start_button()->isEnabled());
        dialog.rows()[1]->set_values("4, 8");
        QVERIFY(dialog.search() && dialog.start_button()->isEnabled());
        QVERIFY((dialog.search()->axes[0].values == std::vector<Json>{4, 8}));
        button(dialog, "Another setting")->click();
        QCOMPARE(dialog.rows().size(), std::size_t(3));
        QVERIFY(dialog.search());
    }

    void halving_is_reckoned_in_whole_runs() {
        auto search = some_search().search;
        search.strategy = search::Strategy::halving;
        search.runs = 9;
        search.axes = search_of(search, {{"method.rank", "1, 2, 3, 4, 5, 6, 7, 8, 9, 10", false}}, *std::make_unique<std::vector<recipe::Problem>>()).axes;
        QCOMPARE(whole_runs(search), 9.0 / 9 + 3 * (2.0 / 9) + 1 * (6.0 / 9));
        search.strategy = search::Strategy::random;
        QCOMPARE(whole_runs(search), 9.0);
    }

    void a_rate_is_found_and_taken_with_one_click() {
        QuietSearches service;
        RateDialog dialog(some_recipe(), service);
        dialog.show();
        QVERIFY(!button(dialog, "Take it")->isEnabled());
        button(dialog, "Start the test")->click();
        QCOMPARE(service.tested.size(), std::size_t(1));
        QVERIFY(button(dialog, "Stop"));
        std::vector<search::RatePoint> points;
        for (int i = 0; i < 60; ++i) {
            const double x = -6 + i * 0.1;
            points.push_back({std::pow(10, x), 0.2 + 1.8 / (1 + std::exp(4 * (x + 3))), 0});
            emit service.rate_point(points.back());
        }
        auto curve = search::judge(points);
        curve.complete = true;
        curve.ending = "completed";
        service.is_testing = false;
        emit service.rates_ready(curve);
        emit service.busy_changed();
        QVERIFY(dialog.suggested() > 5e-4 && dialog.suggested() < 2e-3);
        QSignalSpy taken(&dialog, &RateDialog::taken);
        for (auto* found : dialog.findChildren<QPushButton*>())
            if (found->text().startsWith("Take ")) found->click();
        QCOMPARE(taken.count(), 1);
        QCOMPARE(taken[0][0].toDouble(), dialog.suggested());
        QVERIFY(!dialog.isVisible());
    }

    void a_test_without_an_answer_offers_nothing() {
        QuietSearches service;
        RateDialog dialog(some_recipe(), service);
        dialog.show();
        button(dialog, "Start the test")->click();
        service.is_testing = false;
        emit service.rates_failed(input_error("model.not_found", "m", "there is no such model", "Choose another."));
        emit service.busy_changed();
        QVERIFY(dialog.findChild<ErrorPanel*>()->isVisible());
        QVERIFY(!button(dialog, "Take it")->isEnabled());
    }
};

QTEST_MAIN(SearchesViewTest)
#include "searches_view_test.moc"
