#pragma once
// Chooses the layers that get an adapter in the model's own tree, with what each costs.

#include <QDialog>
#include <functional>
#include <optional>

#include "core/plan/plan.h"
#include "ui/models/target_tree.h"

class QLabel;
class QPushButton;
class QTreeView;

namespace qlora::ui {

class ElidedLabel;
class NoticeRow;

class TargetPicker : public QDialog {
    Q_OBJECT

  public:
    using Planner = std::function<std::optional<plan::Plan>(const std::vector<std::string>& entries)>;

    // `entries`: the recipe's target_modules. `planner` is asked at every change, for the memory.
    TargetPicker(const nn::ModelInfo& model, std::int64_t rank, const std::vector<std::string>& entries, Planner planner,
                 QWidget* parent);

    std::vector<std::string> entries() const { return tree_->entries(); }
    TargetTree& tree() { return *tree_; }

  private:
    QWidget* make_presets();
    void refresh();

    TargetTree* tree_;
    Planner planner_;
    std::int64_t model_parameters_;
    QTreeView* view_;
    NoticeRow* notice_;
    QLabel *sum_, *memory_;
    ElidedLabel* written_;
    QPushButton* use_;
};

}  // namespace qlora::ui
