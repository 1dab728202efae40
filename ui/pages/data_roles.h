#pragma once
// Which column plays which part: guessed by the engine, changed here.

#include <QWidget>
#include <array>
#include <vector>

#include "core/data/roles.h"
#include "core/recipe/recipe.h"

class QComboBox;
class QHBoxLayout;

namespace qlora::ui {

class ElidedLabel;
class NoticeRow;

class DataRoles : public QWidget {
    Q_OBJECT

  public:
    explicit DataRoles(QWidget* parent = nullptr);

    // What the recipe's task can learn from is offered: labels are for classification, pairs for seq2seq.
    void set_task(recipe::Task task);
    void set_columns(const std::vector<data::Column>& columns);
    // The roles in force and what is wrong with them; emits nothing.
    void set_roles(const data::ColumnRoles& roles, const QString& reason, const std::vector<data::RoleProblem>& problems);

    void add_beside_reason(QWidget* widget);  // at the right end of the second line

  signals:
    void chosen(const qlora::recipe::Columns& columns);  // by the user; parts of other layouts are empty

  private:
    enum Part { prompt, completion, messages, text, label, system, part_count };
    struct Field {
        QWidget* widget;
        QComboBox* box;
    };
    Field make_field(const QString& label, const QString& help);
    void offer_layouts();
    void show_layout(data::ColumnRoles::Layout layout);
    void layout_chosen(int index);
    void tell();

    std::vector<data::Column> columns_;
    recipe::Task task_ = recipe::Task::causal_lm;
    QComboBox* layout_;
    std::array<Field, part_count> fields_;
    QHBoxLayout* line_;
    ElidedLabel* reason_;
    NoticeRow* problem_;
};

}  // namespace qlora::ui
