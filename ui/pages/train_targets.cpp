#include "ui/pages/train_targets.h"

#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QPushButton>
#include <QStyledItemDelegate>
#include <QTreeView>
#include <QVBoxLayout>

#include "ui/format/format.h"
#include "ui/theme/theme.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/make.h"
#include "ui/widgets/notice_row.h"

namespace qlora::ui {

using namespace Qt::StringLiterals;

namespace {

constexpr int width_px = 640, height_px = 560, number_width = 132, row_height = 26;

// Lines with room; the current one is tinted as a whole rather than framed.
class LineDelegate : public QStyledItemDelegate {
  public:
    using QStyledItemDelegate::QStyledItemDelegate;
    QSize sizeHint(const QStyleOptionViewItem& option, const QModelIndex& index) const override {
        return {QStyledItemDelegate::sizeHint(option, index).width(), row_height};
    }

  protected:
    void initStyleOption(QStyleOptionViewItem* option, const QModelIndex& index) const override {
        QStyledItemDelegate::initStyleOption(option, index);
        option->state &= ~QStyle::State_HasFocus;
        if (index.column() == TargetTree::layer_column) option->text.prepend(u' ');  // away from the check box
    }
};

QString one_line(const std::vector<std::string>& entries) {
    QStringList names;
    for (const auto& entry : entries) names << QString::fromStdString(entry);
    return names.join(u", ");
}

}  // namespace

TargetPicker::TargetPicker(const nn::ModelInfo& model, std::int64_t rank, const std::vector<std::string>& entries,
                           Planner planner, QWidget* parent)
    : QDialog(parent),
      tree_(make<TargetTree>(model.linears, rank, this)),
      planner_(std::move(planner)),
      model_parameters_(model.parameters) {
    setWindowTitle(tr("Adapted layers"));
    resize(width_px, height_px);
    auto* column = make<QVBoxLayout>(this);
    column->setContentsMargins(16, 14, 16, 14);
    column->setSpacing(theme::grid);
    column->addWidget(plain_label(tr("Layers of %1 that get an adapter").arg(QString::fromStdString(model.name)),
                                  "card-title", this));
    column->addWidget(wrapped_label(tr("More layers learn more for the same rank, and cost memory. Space checks a line, the "
                                       "right arrow opens it."),
                                    "dim", this));
    column->addWidget(make_presets());
    const bool known = tree_->choose(entries);
    notice_ = make<NoticeRow>(
        NoticeRow::Weight::warning,
        tr("The recipe names layers that this model does not have: %1. Choose anew.").arg(one_line(entries)), this);
    notice_->setVisible(!known);
    column->addWidget(notice_);

    view_ = make<QTreeView>(this);
    view_->setModel(tree_);
    view_->setAccessibleName(tr("Layers of the model"));
    view_->setItemDelegate(make<LineDelegate>(view_));
    view_->setUniformRowHeights(true);
    view_->setSelectionBehavior(QAbstractItemView::SelectRows);
    view_->header()->setStretchLastSection(false);
    view_->header()->setSectionResizeMode(TargetTree::layer_column, QHeaderView::Stretch);
    for (const int section : {TargetTree::shape_column, TargetTree::parameters_column})
        view_->header()->resizeSection(section, number_width);
    view_->expandToDepth(0);
    view_->setCurrentIndex(tree_->index(0, 0));
    column->addWidget(view_, 1);

    sum_ = plain_label({}, nullptr, this);
    memory_ = plain_label({}, "dim", this);
    written_ = make<ElidedLabel>(QString(), this);
    set_look(written_, "dim");
    for (QLabel* label : {sum_, memory_, static_cast<QLabel*>(written_)}) column->addWidget(label);
    auto* buttons = make<QHBoxLayout>();
    buttons->addStretch(1);
    auto* cancel = make<QPushButton>(tr("Cancel"), this);
    use_ = make<QPushButton>(tr("Use these layers"), this);
    use_->setProperty("look", "primary");
    use_->setDefault(true);
    cancel->setAutoDefault(false);
    buttons->addWidget(cancel);
    buttons->addWidget(use_);
    column->addLayout(buttons);
    connect(cancel, &QPushButton::clicked, this, &QDialog::reject);
    connect(use_, &QPushButton::clicked, this, &QDialog::accept);
    connect(tree_, &TargetTree::choice_changed, this, &TargetPicker::refresh);
    view_->setFocus();
    refresh();
}

QWidget* TargetPicker::make_presets() {
    auto* bar = make<QWidget>(this);
    auto* row = make<QHBoxLayout>(bar);
    row->setContentsMargins({});
    row->setSpacing(theme::grid);
    const auto add = [&](const QString& name, const QString& help, auto choose) {
        auto* button = make<QPushButton>(name, bar);
        button->setToolTip(help);
        button->setAccessibleDescription(help);
        button->setAutoDefault(false);
        connect(button, &QPushButton::clicked, this, choose);
        row->addWidget(button);
    };
    add(tr("All linear"), tr("Every linear layer of the blocks: the best quality for a given rank"),
        [this] { tree_->choose({"all-linear"}); });
    add(tr("Attention only"), tr("The layers of the attention: a part of the memory, and learns less"),
        [this] { tree_->choose_attention(); });
    add(tr("None"), tr("Begin with nothing chosen"), [this] { tree_->choose_none(); });
    row->addStretch(1);
    return bar;
}

void TargetPicker::refresh() {
    const auto chosen = std::int64_t(tree_->chosen());
    const std::int64_t parameters = tree_->added_parameters();
    const bool any = chosen > 0;
    sum_->setText(tr("%1 of %2 layers · adds %3 parameters, %4 of the model's")
                      .arg(format::count(chosen), format::count(std::int64_t(tree_->layers())), format::count(parameters),
                           model_parameters_ > 0 ? format::percent(double(parameters) / double(model_parameters_)) : u"–"_s));
    const auto plan = any ? planner_(tree_->entries()) : std::nullopt;
    if (plan) {
        const std::int64_t trained = plan->bytes[MemoryTag::adapters] + plan->bytes[MemoryTag::gradients] +
                                     plan->bytes[MemoryTag::optimizer];
        memory_->setText(tr("~%1 for adapters, gradients and optimizer · the run's peak ~%2")
                             .arg(format::bytes(trained), format::bytes(plan->peak_bytes)));
    } else {
        memory_->setText(any ? tr("What it takes is not known: the recipe cannot be planned.") : tr("Nothing is trained."));
    }
    written_->set_text(any ? tr("In the recipe: %1").arg(one_line(tree_->entries())) : QString());
    if (any) notice_->hide();
    use_->setEnabled(any);
    use_->setToolTip(any ? QString() : tr("Choose at least one layer"));
}

}  // namespace qlora::ui
