#include "ui/pages/evaluate_classes.h"

#include <QCheckBox>
#include <QComboBox>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QSignalBlocker>
#include <QSortFilterProxyModel>
#include <QStackedWidget>
#include <QStyledItemDelegate>
#include <QVBoxLayout>

#include "ui/models/class_figures_model.h"
#include "ui/models/predictions_model.h"
#include "ui/pages/evaluate_confusion.h"
#include "ui/theme/icons.h"
#include "ui/theme/theme.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/make.h"
#include "ui/widgets/segmented_control.h"

namespace qlora::ui {

using namespace Qt::StringLiterals;

namespace {

constexpr int row_height = 28, number_width = 70, label_width = 188, predictions_index = 0, classes_index = 1;

// A tick or a cross beside what a contender says: colour never speaks alone.
class LabelDelegate : public QStyledItemDelegate {
  public:
    using QStyledItemDelegate::QStyledItemDelegate;

  protected:
    void initStyleOption(QStyleOptionViewItem* option, const QModelIndex& index) const override {
        QStyledItemDelegate::initStyleOption(option, index);
        const QVariant wrong = index.data(PredictionsModel::WrongRole);
        if (!wrong.isValid()) return;
        option->features |= QStyleOptionViewItem::HasDecoration;
        option->decorationSize = {16, 16};
        option->icon = wrong.toBool() ? theme::icon(u"close"_s, theme::Ink::bad) : theme::icon(u"check"_s, theme::Ink::good);
        if (wrong.toBool()) option->font.setWeight(QFont::DemiBold);
    }
};

// Rows of which the last contender says something wrong, or all.
class WrongFilter : public QSortFilterProxyModel {
  public:
    using QSortFilterProxyModel::QSortFilterProxyModel;
    void set_only_wrong(bool only) {
        only_wrong_ = only;
        invalidateFilter();
    }

  protected:
    bool filterAcceptsRow(int row, const QModelIndex& parent) const override {
        return !only_wrong_ || sourceModel()->index(row, 0, parent).data(PredictionsModel::AnyWrongRole).toBool();
    }

  private:
    bool only_wrong_ = false;
};

QTableView* make_table(QSortFilterProxyModel* model, const QString& name) {
    auto* table = make<QTableView>();
    table->setModel(model);
    table->setAccessibleName(name);
    table->setSelectionBehavior(QAbstractItemView::SelectRows);
    table->setSelectionMode(QAbstractItemView::SingleSelection);
    table->setVerticalScrollMode(QAbstractItemView::ScrollPerPixel);
    table->setWordWrap(false);
    table->setShowGrid(false);
    table->setAlternatingRowColors(true);
    table->setTabKeyNavigation(false);
    table->verticalHeader()->hide();
    table->verticalHeader()->setDefaultSectionSize(row_height);
    table->horizontalHeader()->setHighlightSections(false);
    table->setSortingEnabled(true);
    table->horizontalHeader()->setSortIndicator(-1, Qt::AscendingOrder);  // as the model has it
    return table;
}

}  // namespace

EvaluateClasses::EvaluateClasses(QWidget* parent)
    : QWidget(parent),
      figures_(make<ClassFiguresModel>(this)),
      predictions_(make<PredictionsModel>(this)),
      shown_(make<WrongFilter>(this)) {
    auto* column = make<QVBoxLayout>(this);
    column->setContentsMargins({});
    column->setSpacing(theme::grid);
    auto* bar = make<QHBoxLayout>();
    bar->setSpacing(theme::grid);
    view_ = make<SegmentedControl>(tr("Details"), QStringList{tr("Predictions"), tr("Classes")}, this);
    bar->addWidget(view_);
    contender_ = make<QComboBox>(this);
    contender_->setAccessibleName(tr("Model whose classes are shown"));
    bar->addWidget(contender_);
    bar->addStretch(1);
    only_wrong_ = make<QCheckBox>(tr("Only what the last column gets wrong"), this);
    bar->addWidget(only_wrong_);
    column->addLayout(bar);
    stack_ = make<QStackedWidget>(this);
    stack_->addWidget(make_predictions());
    stack_->addWidget(make_classes());
    column->addWidget(stack_, 1);
    connect(view_, &SegmentedControl::changed, this, &EvaluateClasses::show_view);
    connect(contender_, &QComboBox::currentIndexChanged, this, &EvaluateClasses::show_contender);
    connect(only_wrong_, &QCheckBox::toggled, this, &EvaluateClasses::show_only_wrong);
    show_view(predictions_index);
}

void EvaluateClasses::show_view(int index) {
    stack_->setCurrentIndex(index);
    contender_->setVisible(index == classes_index && contender_->count() > 1);
    only_wrong_->setVisible(index == predictions_index && !numbers_);
}

QWidget* EvaluateClasses::make_predictions() {
    shown_->setSourceModel(predictions_);
    shown_->setSortRole(PredictionsModel::SortRole);
    auto* page = make<QWidget>();
    auto* column = make<QVBoxLayout>(page);
    column->setContentsMargins({});
    rows_ = make_table(shown_, tr("Predictions"));
    rows_->setItemDelegate(make<LabelDelegate>(rows_));
    none_ = plain_label(tr("Nothing is wrong among these rows."), "dim");
    none_->setAlignment(Qt::AlignCenter);
    none_->hide();
    column->addWidget(rows_, 1);
    column->addWidget(none_);
    return page;
}

QWidget* EvaluateClasses::make_classes() {
    auto* sorted = make<QSortFilterProxyModel>(this);
    sorted->setSourceModel(figures_);
    sorted->setSortRole(ClassFiguresModel::SortRole);
    classes_ = make_table(sorted, tr("Figures of each class"));
    classes_->horizontalHeader()->setSectionResizeMode(ClassFiguresModel::name_column, QHeaderView::Stretch);
    for (int section = ClassFiguresModel::precision_column; section < ClassFiguresModel::column_count; ++section)
        classes_->horizontalHeader()->resizeSection(section, number_width);
    matrix_side_ = make<QWidget>();
    auto* side = make<QVBoxLayout>(matrix_side_);
    side->setContentsMargins({});
    side->setSpacing(theme::half_grid);
    auto* caption = make<ElidedLabel>(tr("Rows: in the data. Columns: what the model says. Framed: right. Shade: share of "
                                         "the row."));
    set_look(caption, "dim");
    matrix_ = make<ConfusionView>();
    side->addWidget(caption);
    side->addWidget(matrix_, 1);
    auto* page = make<QWidget>();
    auto* row = make<QHBoxLayout>(page);
    row->setContentsMargins({});
    row->setSpacing(theme::grid);
    row->addWidget(classes_, 5);
    row->addWidget(matrix_side_, 6);
    return page;
}

void EvaluateClasses::set_report(const evaluate::Report& report) {
    report_ = report;
    predictions_->set_report(report);
    rows_->horizontalHeader()->setSectionResizeMode(PredictionsModel::text_column, QHeaderView::Stretch);
    for (int section = PredictionsModel::expected_column; section < predictions_->columnCount(); ++section)
        rows_->horizontalHeader()->resizeSection(section, label_width);
    numbers_ = tells_numbers(report);
    {
        const QSignalBlocker quiet(contender_);
        contender_->clear();
        for (std::size_t i = 0; i < report.contenders.size(); ++i) {
            const auto& contender = report.contenders[i];
            if (contender.classification || contender.multi_label)
                contender_->addItem(contender_text(contender.name), int(i));
        }
        contender_->setCurrentIndex(contender_->count() - 1);
    }
    if (numbers_) only_wrong_->setChecked(false);
    const bool classes = contender_->count() > 0;
    view_->setVisible(classes && !report.questions.empty());
    view_->set_current(classes ? classes_index : predictions_index);
    show_view(view_->current());
    show_contender();
    show_only_wrong(only_wrong_->isChecked());
}

void EvaluateClasses::show_contender() {
    const QVariant chosen = contender_->currentData();
    if (!chosen.isValid()) {
        figures_->set_classes({});
        matrix_->set_matrix({}, {});
        return;
    }
    const auto& contender = report_.contenders[std::size_t(chosen.toInt())];
    const auto& classes = contender.classification ? contender.classification->classes : contender.multi_label->classes;
    figures_->set_classes(classes);
    QStringList names;
    for (const auto& one : classes) names << QString::fromStdString(one.name);
    matrix_side_->setVisible(contender.classification.has_value());
    if (contender.classification) matrix_->set_matrix(contender.classification->confusion, names);
}

void EvaluateClasses::show_only_wrong(bool only) {
    static_cast<WrongFilter*>(shown_)->set_only_wrong(only);
    none_->setVisible(only && shown_->rowCount() == 0);
}

}  // namespace qlora::ui
