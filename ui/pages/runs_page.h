#pragma once
// All runs, newest first: open one's curves, resume, measure, rename, show or delete it.

#include <QWidget>
#include <vector>

#include "ui/engine/runs_service.h"

class QLabel;
class QLineEdit;
class QListView;
class QPushButton;
class QSortFilterProxyModel;
class QStackedWidget;
class QTimer;

namespace qlora::ui {

class Dialogs;
class ErrorPanel;
class SegmentedControl;

class RunsPage : public QWidget {
    Q_OBJECT

  public:
    // Both outlive the page.
    RunsPage(RunsService& service, Dialogs& dialogs, QWidget* parent = nullptr);

    const RunsModel& model() const { return *model_; }
    // The searches, beside the runs: one of two views. The page takes it over.
    void set_searches(QWidget* view);
    void show_searches(bool shown);
    // While another run goes, none can be resumed; empty: it can.
    void set_busy(const QString& why_not);

  signals:
    void open_requested(const QString& folder);      // its curves, on the Live page
    void resume_requested(const QString& folder);
    void evaluate_requested(const QString& folder);
    void train_requested();                          // there is no run yet

  protected:
    void showEvent(QShowEvent* event) override;
    void hideEvent(QHideEvent* event) override;

  private:
    QWidget* make_heading();
    QWidget* make_list();
    QPushButton* add_button(const QString& text, const QString& icon, const QKeySequence& key, void (RunsPage::*slot)());
    void take(const std::vector<RunEntry>& entries);
    const RunEntry* chosen() const;  // null: none
    void refresh_buttons();
    void show_menu(const QPoint& position);
    void open();
    void resume();
    void evaluate();
    void rename();
    void show_folder();
    void remove();

    RunsService& service_;
    Dialogs& dialogs_;
    RunsModel* model_;
    QSortFilterProxyModel* filtered_;
    QString busy_;
    QTimer* timer_;
    QLabel* count_;
    QLineEdit* search_;
    ErrorPanel* error_;
    QStackedWidget *stack_, *views_;
    SegmentedControl* view_;
    QListView* list_;
    QPushButton *open_, *resume_, *evaluate_, *rename_, *folder_, *delete_;
};

}  // namespace qlora::ui
