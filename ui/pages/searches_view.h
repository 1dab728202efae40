#pragma once
// The searches: one chosen, its runs over their settings, the best so far, and as a table; go on, stop, open the winner.

#include <QWidget>

#include "ui/engine/search_service.h"

class QComboBox;
class QLabel;
class QPushButton;
class QSortFilterProxyModel;
class QStackedWidget;
class QTableView;

namespace qlora::ui {

class Chart;
class ElidedLabel;
class ErrorPanel;
class ParallelAxes;
class TrialsModel;

class SearchesView : public QWidget {
    Q_OBJECT

  public:
    explicit SearchesView(SearchService& service, QWidget* parent = nullptr);  // the service outlives it

    const TrialsModel& model() const { return *model_; }
    void choose(const QString& folder);
    // While a run goes, no search can; empty: it can.
    void set_busy(const QString& why_not);

  signals:
    void search_requested();  // there is none yet
    void recipe_requested(const QString& file, const QString& name);  // open it on the Train page

  protected:
    void showEvent(QShowEvent* event) override;

  private:
    QWidget* make_bar();
    QWidget* make_content();
    void take(const std::vector<search::Standing>& searches);
    void show_chosen();
    void draw();
    void say(const SearchProgress& progress);
    void refresh_buttons();
    void select_row(int row);
    const search::Standing* chosen() const;  // null: none

    SearchService& service_;
    std::vector<search::Standing> searches_;
    QString chosen_, busy_;
    TrialsModel* model_;
    QSortFilterProxyModel* sorted_;
    QStackedWidget* stack_;
    QComboBox* choice_;
    ErrorPanel* error_;
    ElidedLabel* summary_;
    QPushButton *open_, *go_on_, *folder_;
    ParallelAxes* axes_;
    Chart* best_;
    QTableView* table_;
};

}  // namespace qlora::ui
