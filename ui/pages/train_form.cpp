#include "ui/pages/train_form.h"

#include <QFileInfo>
#include <QVBoxLayout>
#include <algorithm>

#include "ui/dialogs/dialogs.h"
#include "ui/models/recipe_draft.h"
#include "ui/widgets/field_editor.h"
#include "ui/widgets/flow_layout.h"
#include "ui/widgets/make.h"

namespace qlora::ui {

namespace {

constexpr int cell_width = 180, gap = 16;

bool named(const std::vector<std::string>& keys, const std::string& key) {
    return std::any_of(keys.begin(), keys.end(), [&](const std::string& wanted) {
        return wanted.ends_with('.') ? key.starts_with(wanted) : key == wanted;
    });
}

}  // namespace

TrainForm::TrainForm(RecipeDraft& draft, Dialogs& dialogs, const std::vector<std::string>& keys,
                     const std::vector<std::string>& without, QWidget* parent)
    : QWidget(parent), draft_(draft), dialogs_(dialogs) {
    auto* column = make<QVBoxLayout>(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(12);
    auto* simple = make<QWidget>(this);
    auto* simple_grid = make<FlowGrid>(cell_width, gap, 10, simple);
    advanced_ = make<QWidget>(this);
    auto* advanced_grid = make<FlowGrid>(cell_width, gap, 10, advanced_);
    for (const recipe::Field& field : recipe::fields()) {
        if (!named(keys, field.key) || named(without, field.key)) continue;
        if (field.type == recipe::Field::Type::choice && field.choices.size() < 2) continue;
        const bool shown_always = field.level == recipe::Field::Level::simple;
        auto* editor = make<FieldEditor>(field, shown_always ? simple : advanced_);
        (shown_always ? simple_grid : advanced_grid)->addWidget(editor);
        connect(editor, &FieldEditor::edited, this,
                [this, editor](const QString& key) { draft_.set(key.toStdString(), editor->value()); });
        connect(editor, &FieldEditor::validity_changed, this,
                [this, editor] { draft_.mark_invalid(editor->field().key, editor->mistyped()); });
        connect(editor, &FieldEditor::browse_requested, this, &TrainForm::browse);
        editors_.push_back(editor);
    }
    column->addWidget(simple);
    column->addWidget(advanced_);
    simple->setVisible(simple_grid->count() > 0);
    set_advanced(false);
    connect(&draft, &RecipeDraft::edited, this, &TrainForm::refresh);
    refresh();
}

void TrainForm::set_advanced(bool advanced) {
    advanced_->setVisible(advanced && advanced_->layout()->count() > 0);
}

FieldEditor* TrainForm::editor(const std::string& key) const {
    const auto at =
        std::find_if(editors_.begin(), editors_.end(), [&](FieldEditor* e) { return e->field().key == key; });
    return at == editors_.end() ? nullptr : *at;
}

void TrainForm::refresh() {
    for (FieldEditor* editor : editors_) {
        const Json value = editor->field().get(draft_.recipe());
        if (editor->value() != value) editor->set_value(value);
        QString text;
        for (const auto& problem : draft_.problems())
            if (problem.field == editor->field().key)
                text = problem.hint.empty() ? tr("Expected %1").arg(QString::fromStdString(problem.expected))
                                            : QString::fromStdString(problem.hint);
        editor->set_problem(text);
        editor->setVisible(editor->field().has_effect(draft_.recipe()));
    }
}

void TrainForm::browse(const QString& key) {
    const recipe::Field& field = editor(key.toStdString())->field();
    const QString title = QString::fromStdString(field.label);
    const Json now = field.get(draft_.recipe());
    const QString folder =
        now.is_string() ? QFileInfo(QString::fromStdString(now.get<std::string>())).path() : QString();
    const bool is_file = field.key.starts_with("data.");
    const QString chosen =
        is_file
            ? dialogs_.open_file(
                  this, title, folder,
                  tr("Data sets (*.jsonl *.ndjson *.json *.csv *.tsv *.parquet *.txt *.md);;All files (*)"))
            : dialogs_.open_folder(this, title, folder);
    if (!chosen.isEmpty()) draft_.set(field.key, chosen.toStdString());
}

}  // namespace qlora::ui
