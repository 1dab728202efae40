#pragma once
// The Train page's Model card: what is chosen, its facts, and a chooser that unfolds.

#include "ui/widgets/card.h"

class QLabel;
class QPushButton;

namespace qlora::ui {

class ChipRow;
class ChoiceList;
class Dialogs;
class ErrorPanel;
class RecipeDraft;

class TrainModelCard : public Card {
    Q_OBJECT

  public:
    TrainModelCard(RecipeDraft& draft, Dialogs& dialogs, QWidget* parent = nullptr);
    void open_chooser();

  private:
    void refresh();
    void refresh_choices();

    RecipeDraft& draft_;
    Dialogs& dialogs_;
    class ElidedLabel *name_, *note_;
    ChipRow* chips_;
    QPushButton* change_;
    QWidget* chooser_;
    ChoiceList* choices_;
    ErrorPanel* error_;
};

}  // namespace qlora::ui
