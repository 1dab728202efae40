#pragma once
// The Train page's Data card: what is chosen, how many rows, one row as it is, and a chooser that unfolds.

#include "ui/widgets/card.h"

class QPushButton;

namespace qlora::ui {

class ChipRow;
class ChoiceList;
class Dialogs;
class ElidedLabel;
class ErrorPanel;
class RecipeDraft;
class TrainForm;

class TrainDataCard : public Card {
    Q_OBJECT

  public:
    TrainDataCard(RecipeDraft& draft, Dialogs& dialogs, QWidget* parent = nullptr);
    void open_chooser();
    TrainForm* form() const { return form_; }

  signals:
    void look_requested();  // at the rows, on the Data page

  private:
    void refresh();
    void refresh_choices();
    void choose(const QString& id);

    RecipeDraft& draft_;
    Dialogs& dialogs_;
    ElidedLabel *name_, *prompt_, *answer_;
    ChipRow* chips_;
    QPushButton* change_;
    QWidget *chooser_, *sample_;
    ChoiceList* choices_;
    ErrorPanel* error_;
    TrainForm* form_;
};

}  // namespace qlora::ui
