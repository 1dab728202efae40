#pragma once
// The Train page's Model card: what is chosen, its facts and what of it is not used and why, the whole error of a model
// that is refused, and a chooser that unfolds.

#include "ui/widgets/card.h"

class QLabel;
class QPushButton;
class QVBoxLayout;

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
    void show_notices(const QStringList& notices);

    RecipeDraft& draft_;
    Dialogs& dialogs_;
    class ElidedLabel *name_, *note_;
    ChipRow* chips_;
    QPushButton* change_;
    QWidget* chooser_;
    ChoiceList* choices_;
    ErrorPanel* error_;
    QVBoxLayout* notices_;
    QStringList shown_notices_;
    bool failed_ = false;
};

}  // namespace qlora::ui
