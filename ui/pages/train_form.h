#pragma once
// A card's form: an editor for each of some recipe fields, the advanced ones shown on demand. Edits go to the
// draft.

#include <QWidget>
#include <vector>

#include "core/recipe/fields.h"

namespace qlora::ui {

class Dialogs;
class FieldEditor;
class RecipeDraft;

class TrainForm : public QWidget {
    Q_OBJECT

  public:
    // Fields whose key is in `keys`, or begins with one that ends in a dot; in the order of the table. A
    // choice of one is not shown.
    TrainForm(RecipeDraft& draft, Dialogs& dialogs, const std::vector<std::string>& keys,
              const std::vector<std::string>& without, QWidget* parent = nullptr);

    void set_advanced(bool advanced);
    FieldEditor* editor(const std::string& key) const;  // null: not here
    const std::vector<FieldEditor*>& editors() const { return editors_; }

  private:
    void refresh();
    void browse(const QString& key);

    RecipeDraft& draft_;
    Dialogs& dialogs_;
    std::vector<FieldEditor*> editors_;
    QWidget* advanced_ = nullptr;
};

}  // namespace qlora::ui
