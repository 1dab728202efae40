#include "ui/pages/data_roles.h"

#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QSignalBlocker>
#include <QVBoxLayout>

#include "ui/theme/tokens.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/make.h"
#include "ui/widgets/notice_row.h"

namespace qlora::ui {

using Layout = data::ColumnRoles::Layout;

namespace {

constexpr int shortest_box = 100, longest_box = 184;

// A label is a word, a number, or a list of them.
bool fits(data::ColumnKind kind, bool messages, bool label) {
    if (kind == data::ColumnKind::unsupported) return false;
    return label || messages == (kind == data::ColumnKind::list);
}

}  // namespace

DataRoles::DataRoles(QWidget* parent) : QWidget(parent) {
    auto* column = make<QVBoxLayout>(this);
    column->setContentsMargins({});
    column->setSpacing(theme::half_grid);
    auto* row = make<QHBoxLayout>();
    row->setSpacing(theme::grid * 2);

    const Field layout = make_field(tr("Rows are"), tr("What one row of the data set holds"));
    layout_ = layout.box;
    layout_->setMinimumWidth(longest_box);
    connect(layout_, &QComboBox::activated, this, &DataRoles::layout_chosen);
    row->addWidget(layout.widget);

    fields_[prompt] = make_field(tr("Prompt"), tr("The column with what is asked; the model reads it but is not trained on it"));
    fields_[completion] = make_field(tr("Answer"), tr("The column with what the model learns to answer"));
    fields_[messages] = make_field(tr("Messages"), tr("The column with a list of messages, each with role and content"));
    fields_[text] = make_field(tr("Text"), tr("The column with the text to learn"));
    fields_[label] = make_field(tr("Label"), tr("The column with what each text is: words are classes, lists hold several, other "
                                                "numbers are values to be told"));
    fields_[system] = make_field(tr("System"), tr("The column with instructions that come before each conversation"));
    for (const Field& field : fields_) {
        connect(field.box, &QComboBox::activated, this, &DataRoles::tell);
        row->addWidget(field.widget);
    }
    row->addStretch();
    column->addLayout(row);

    reason_ = make<ElidedLabel>();
    set_look(reason_, "dim");
    line_ = make<QHBoxLayout>();
    line_->setSpacing(theme::grid * 2);
    line_->addWidget(reason_, 1);
    column->addLayout(line_);
    problem_ = make<NoticeRow>(NoticeRow::Weight::bad, QString());
    problem_->hide();
    column->addWidget(problem_);
    offer_layouts();
    show_layout(Layout::prompt_completion);
}

void DataRoles::set_task(recipe::Task task) {
    if (task == task_) return;
    task_ = task;
    offer_layouts();
    show_layout(Layout(layout_->currentData().toInt()));
}

void DataRoles::offer_layouts() {
    const QSignalBlocker quiet(layout_);
    layout_->clear();
    if (task_ == recipe::Task::classification) {
        layout_->addItem(tr("Texts with labels"), int(Layout::labelled));
        return;
    }
    layout_->addItem(tr("Question and answer"), int(Layout::prompt_completion));
    if (task_ == recipe::Task::seq2seq) return;
    layout_->addItem(tr("Conversations"), int(Layout::messages));
    layout_->addItem(tr("Plain text"), int(Layout::text));
}

DataRoles::Field DataRoles::make_field(const QString& label, const QString& help) {
    Field field{make<QWidget>(), make<QComboBox>()};
    auto* row = make<QHBoxLayout>(field.widget);
    row->setContentsMargins({});
    row->setSpacing(theme::grid);
    QLabel* caption = plain_label(label, "dim");
    caption->setBuddy(field.box);
    row->addWidget(caption);
    row->addWidget(field.box);
    field.box->setAccessibleName(label);
    field.box->setAccessibleDescription(help);
    field.box->setToolTip(help);
    field.box->setMinimumWidth(shortest_box);
    field.box->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    field.box->setMinimumContentsLength(8);
    return field;
}

void DataRoles::add_beside_reason(QWidget* widget) { line_->addWidget(widget); }

void DataRoles::set_columns(const std::vector<data::Column>& columns) {
    columns_ = columns;
    for (int part = 0; part < part_count; ++part) {
        QComboBox* box = fields_[part].box;
        const QSignalBlocker quiet(box);
        box->clear();
        box->addItem(part == system ? tr("none") : tr("choose…"), QString());
        for (const auto& column : columns_)
            if (fits(column.kind, part == messages, part == label))
                box->addItem(QString::fromStdString(column.name), QString::fromStdString(column.name));
    }
}

void DataRoles::set_roles(const data::ColumnRoles& roles, const QString& reason,
                          const std::vector<data::RoleProblem>& problems) {
    const QSignalBlocker quiet(layout_);
    layout_->setCurrentIndex(layout_->findData(int(roles.layout)));
    show_layout(roles.layout);
    const std::array names = {roles.prompt, roles.completion, roles.messages, roles.text, roles.label, roles.system};
    for (int part = 0; part < part_count; ++part) {
        const QSignalBlocker silent(fields_[part].box);
        fields_[part].box->setCurrentIndex(
            std::max(0, fields_[part].box->findData(QString::fromStdString(names[part]))));
    }
    QString words = reason;
    if (!words.isEmpty()) words[0] = words[0].toUpper();
    reason_->set_text(problems.empty() ? words : QString());
    QStringList lines;
    for (const auto& problem : problems)
        lines << QString::fromStdString(problem.hint.empty() ? problem.message : problem.message + ". " + problem.hint);
    problem_->set(NoticeRow::Weight::bad, lines.join(u'\n'));
    problem_->setVisible(!problems.empty());
}

void DataRoles::show_layout(Layout layout) {
    fields_[prompt].widget->setVisible(layout == Layout::prompt_completion);
    fields_[completion].widget->setVisible(layout == Layout::prompt_completion);
    fields_[messages].widget->setVisible(layout == Layout::messages);
    fields_[text].widget->setVisible(layout == Layout::text || layout == Layout::labelled);
    fields_[label].widget->setVisible(layout == Layout::labelled);
    fields_[system].widget->setVisible(layout == Layout::prompt_completion);
}

void DataRoles::layout_chosen(int) {
    show_layout(Layout(layout_->currentData().toInt()));
    // The first column that can play the part is a better start than none.
    for (Part part : {prompt, completion, messages, text, label}) {
        QComboBox* box = fields_[part].box;
        const int wanted = part == completion || part == label ? 2 : 1;
        if (box->currentIndex() <= 0 && box->count() > wanted) box->setCurrentIndex(wanted);
    }
    tell();
}

void DataRoles::tell() {
    const auto layout = Layout(layout_->currentData().toInt());
    const auto name = [&](Part part) { return fields_[part].box->currentData().toString().toStdString(); };
    recipe::Columns columns;
    if (layout == Layout::text || layout == Layout::labelled) columns.text = name(text);
    if (layout == Layout::labelled) columns.label = name(label);
    if (layout == Layout::messages) columns.messages = name(messages);
    if (layout == Layout::prompt_completion) {
        columns.prompt = name(prompt);
        columns.completion = name(completion);
        columns.system = name(system);
    }
    emit chosen(columns);
}

}  // namespace qlora::ui
