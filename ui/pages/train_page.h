#pragma once
// Four cards that say what will be trained, on what, how; and beside them what the run will cost.

#include <QWidget>
#include <vector>

#include "core/recipe/recipe.h"

class QPushButton;
class QScrollArea;
class QToolButton;

namespace qlora::ui {

class Card;
class Dialogs;
class ErrorPanel;
class RecipeDraft;
class SegmentedControl;
class TrainDataCard;
class TrainForm;
class TrainModelCard;
class TrainPreview;

class TrainPage : public QWidget {
    Q_OBJECT

  public:
    // Both outlive the page.
    TrainPage(RecipeDraft& draft, Dialogs& dialogs, QWidget* parent = nullptr);

    bool advanced() const;
    void set_advanced(bool advanced);
    const std::vector<Card*>& cards() const { return cards_; }
    TrainPreview* preview() const { return preview_; }
    ErrorPanel* error() const { return error_; }
    void choose_model();  // unfolds the chooser
    void choose_data();
    // While something trains, no search begins; empty: it can.
    void set_busy(const QString& why_not);
    // Shows the editor of a field, unfolding what hides it, and gives it the focus.
    void go_to_field(const std::string& key);

  signals:
    void start_requested();
    void look_at_data_requested();
    void advanced_changed(bool advanced);
    void example_chosen(const qlora::recipe::Recipe& recipe);
    void search_requested();
    void rate_requested();

  private:
    QWidget* make_heading();
    void list_examples();
    QWidget* make_cards();
    void pick_targets();
    void refresh_searching();

    RecipeDraft& draft_;
    Dialogs& dialogs_;
    SegmentedControl* level_;
    QToolButton* examples_;
    ErrorPanel* error_;
    QScrollArea* scroll_;
    TrainModelCard* model_;
    TrainDataCard* data_;
    std::vector<Card*> cards_;
    std::vector<TrainForm*> forms_;
    QToolButton *pick_targets_, *find_rate_;
    QPushButton* search_;
    QString busy_;
    TrainPreview* preview_;
};

}  // namespace qlora::ui
