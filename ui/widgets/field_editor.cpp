#include "ui/widgets/field_editor.h"

#include <QApplication>
#include <QCheckBox>
#include <QComboBox>
#include <QEvent>
#include <QHBoxLayout>
#include <QKeyEvent>
#include <QLabel>
#include <QLineEdit>
#include <QStyle>
#include <QTimer>
#include <QToolButton>
#include <cmath>

#include "ui/theme/icons.h"
#include "ui/theme/tokens.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/help_popover.h"
#include "ui/widgets/make.h"
#include "ui/widgets/number_box.h"

namespace qlora::ui {

namespace {

constexpr int details_after_ms = 600;

QString text_of(const std::string& text) { return QString::fromStdString(text); }

void mark_invalid(QWidget* input, bool invalid) {
    if (input->property("invalid").toBool() == invalid) return;
    input->setProperty("invalid", invalid);
    input->style()->unpolish(input);
    input->style()->polish(input);
}

}  // namespace

QString choice_text(const std::string& key, const std::string& value) {
    static const std::map<std::string, QString> words{
        {"fp32", FieldEditor::tr("FP32 (32 bit)")},   {"fp16", FieldEditor::tr("FP16 (16 bit)")},
        {"bf16", FieldEditor::tr("BF16 (16 bit)")},   {"int8", FieldEditor::tr("INT8 (8 bit)")},
        {"nf4", FieldEditor::tr("NF4 (4 bit)")},      {"fp4", FieldEditor::tr("FP4 (4 bit)")},
        {"int4", FieldEditor::tr("INT4 (4 bit)")},    {"int3", FieldEditor::tr("INT3 (3 bit, kept in 4)")},
        {"native", FieldEditor::tr("As in the file")},
        {"auto", FieldEditor::tr("Automatic")},       {"linear", FieldEditor::tr("Linear")},
        {"cosine", FieldEditor::tr("Cosine")},        {"constant", FieldEditor::tr("Constant")},
        {"cosine_with_restarts", FieldEditor::tr("Cosine with restarts")},
        {"inverse_sqrt", FieldEditor::tr("Inverse square root")},
        {"polynomial", FieldEditor::tr("Polynomial")},
        {"adamw", FieldEditor::tr("AdamW")},          {"adamw-8bit", FieldEditor::tr("AdamW in 8 bit")},
        {"sgd", FieldEditor::tr("SGD with momentum")}, {"adafactor", FieldEditor::tr("Adafactor")},
        {"lion", FieldEditor::tr("Lion")},
        {"lora", FieldEditor::tr("LoRA")},            {"full", FieldEditor::tr("Full fine-tuning")},
        {"adapter", FieldEditor::tr("Adapter layers")}, {"prompt-tuning", FieldEditor::tr("Prompt tuning")},
        {"prefix-tuning", FieldEditor::tr("Prefix tuning")}, {"bitfit", FieldEditor::tr("BitFit (biases alone)")},
        {"default", FieldEditor::tr("Unchanged")},    {"pissa", FieldEditor::tr("PiSSA")},
        {"loftq", FieldEditor::tr("LoftQ")},          {"pfeiffer", FieldEditor::tr("Behind the MLP (Pfeiffer)")},
        {"houlsby", FieldEditor::tr("Behind both (Houlsby)")}, {"none", FieldEditor::tr("None")},
        {"causal-lm", FieldEditor::tr("Chat / text")},
        {"classification", FieldEditor::tr("Classification")},
        {"seq2seq", FieldEditor::tr("Sequence to sequence")},
        {"single_label_classification", FieldEditor::tr("One class a row")},
        {"multi_label_classification", FieldEditor::tr("Any number of labels")},
        {"regression", FieldEditor::tr("A number")},
    };
    const auto known = words.find(value);
    return known == words.end() ? text_of(value) : known->second;
}

FieldEditor::FieldEditor(const recipe::Field& field, QWidget* parent)
    : QWidget(parent), field_(field), value_(field.default_value()) {
    setObjectName(text_of(field.key));
    label_ = plain_label(text_of(field.label), nullptr, this);
    label_->setSizePolicy(QSizePolicy::Maximum, QSizePolicy::Preferred);
    auto* unit = make<ElidedLabel>(text_of(field.unit), this);
    unit->setProperty("look", "dim");
    help_ = make<ElidedLabel>(QString(), this);
    help_->setProperty("look", "dim");
    help_->set_lines(2);

    auto* heading = make<QHBoxLayout>();
    heading->setSpacing(6);
    heading->addWidget(label_);
    heading->addWidget(unit, 1);
    auto* column = make<QVBoxLayout>(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(3);
    column->addLayout(heading);

    using Type = recipe::Field::Type;
    switch (field.type) {
        case Type::text: build_text(); break;
        case Type::path: build_path(); break;
        case Type::integer:
        case Type::real: build_number(); break;
        case Type::boolean: build_boolean(); break;
        case Type::choice: build_choice(); break;
        case Type::list: build_list(); break;
    }
    input_->setAccessibleName(text_of(field.label));
    input_->setAccessibleDescription(text_of(field.help));
    label_->setBuddy(input_);
    input_row_ = make<QHBoxLayout>();
    input_row_->setSpacing(4);
    input_row_->addWidget(input_, 1);
    column->addLayout(input_row_);
    if (field.type == Type::path)
        connect(add_button(QStringLiteral("folder"), tr("Choose %1").arg(text_of(field.label))), &QToolButton::clicked, this,
                [this] { emit browse_requested(text_of(field_.key)); });
    column->addWidget(help_);
    input_->installEventFilter(this);
    installEventFilter(this);
    show_(value_);
    show_help_line();
}

QToolButton* FieldEditor::add_button(const QString& icon, const QString& accessible_name) {
    auto* button = make<QToolButton>(this);
    button->setIcon(theme::icon(icon));
    button->setAccessibleName(accessible_name);
    button->setToolTip(accessible_name);
    input_row_->addWidget(button);
    return button;
}

void FieldEditor::build_text() {
    auto* line = make<QLineEdit>(this);
    input_ = line;
    show_ = [line](const Json& value) {
        const QString text = text_of(value.is_string() ? value.get<std::string>() : std::string());
        if (line->text() != text) line->setText(text);
    };
    connect(line, &QLineEdit::textEdited, this, [this](const QString& text) { accept(text.toStdString()); });
}

void FieldEditor::build_path() {
    build_text();
    static_cast<QLineEdit*>(input_)->setPlaceholderText(tr("none"));
}

void FieldEditor::build_number() {
    const bool integer = field_.type == recipe::Field::Type::integer;
    NumberBox::Range range{field_.low, field_.high, integer, {}};
    for (const auto& choice : field_.choices) range.allowed.push_back(text_of(choice).toDouble());
    auto* box = make<NumberBox>(range, this);
    input_ = box;
    show_ = [box](const Json& value) {
        if (value.is_number()) box->set_value(value.get<double>());
    };
    connect(box, &NumberBox::text_edited, this, [this, box, integer] {
        const auto value = box->value();
        own_problem_ = value ? QString() : tr("Expected %1").arg(text_of(field_.expected()));
        if (!value) {
            set_problem(QString());
            return;
        }
        accept(integer ? Json(static_cast<std::int64_t>(std::llround(*value))) : Json(*value));
    });
}

void FieldEditor::build_boolean() {
    auto* box = make<QCheckBox>(text_of(field_.label), this);
    input_ = box;
    label_->hide();
    box->setMinimumHeight(theme::control_height);
    show_ = [box](const Json& value) { box->setChecked(value.is_boolean() && value.get<bool>()); };
    connect(box, &QCheckBox::toggled, this, [this](bool checked) {
        if (!showing_) accept(checked);
    });
}

void FieldEditor::build_choice() {
    auto* box = make<QComboBox>(this);
    input_ = box;
    for (const auto& choice : field_.choices) box->addItem(choice_text(field_.key, choice), text_of(choice));
    box->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    box->setMinimumContentsLength(8);
    box->setFocusPolicy(Qt::StrongFocus);
    show_ = [box](const Json& value) {
        if (value.is_string()) box->setCurrentIndex(box->findData(text_of(value.get<std::string>())));
    };
    connect(box, &QComboBox::activated, this, [this, box] { accept(box->currentData().toString().toStdString()); });
}

void FieldEditor::build_list() {
    auto* line = make<QLineEdit>(this);
    input_ = line;
    line->setPlaceholderText(tr("names, separated by commas"));
    const auto parse = [](const QString& text) {
        Json names = Json::array();
        for (const QString& part : text.split(QLatin1Char(','), Qt::SkipEmptyParts))
            if (!part.trimmed().isEmpty()) names.push_back(part.trimmed().toStdString());
        return names;
    };
    show_ = [line, parse](const Json& value) {
        if (!value.is_array() || parse(line->text()) == value) return;
        QStringList names;
        for (const auto& name : value)
            if (name.is_string()) names << text_of(name.get<std::string>());
        line->setText(names.join(QStringLiteral(", ")));
    };
    connect(line, &QLineEdit::textEdited, this, [this, parse](const QString& text) { accept(parse(text)); });
}

void FieldEditor::set_value(const Json& value) {
    value_ = value;
    own_problem_.clear();
    showing_ = true;
    show_(value);
    showing_ = false;
    set_problem(QString());
}

void FieldEditor::set_problem(const QString& problem) {
    const QString worst = own_problem_.isEmpty() ? problem : own_problem_;
    const bool changed = problem_ != worst;
    problem_ = worst;
    mark_invalid(input_, !worst.isEmpty());
    show_help_line();
    if (changed) emit validity_changed(worst.isEmpty());
}

void FieldEditor::accept(const Json& value) {
    recipe::Recipe probe;
    if (!field_.set(probe, value)) {
        own_problem_ = tr("Expected %1").arg(text_of(field_.expected()));
        set_problem(QString());
        return;
    }
    own_problem_.clear();
    set_problem(QString());
    if (value == value_) return;
    value_ = value;
    emit edited(text_of(field_.key));
}

void FieldEditor::show_help_line() {
    help_->set_text(problem_.isEmpty() ? text_of(field_.help) : problem_);
    set_look(help_, problem_.isEmpty() ? "dim" : "bad");
    if (!problem_.isEmpty()) input_->setAccessibleDescription(problem_);
}

void FieldEditor::show_details() {
    HelpPopover::of(this)->explain(this, text_of(field_.label), text_of(field_.details.empty() ? field_.help : field_.details),
                                   text_of(field_.typical));
}

bool FieldEditor::eventFilter(QObject* watched, QEvent* event) {
    switch (event->type()) {
        case QEvent::Enter:
            if (watched == this)
                QTimer::singleShot(details_after_ms, this, [this] {
                    if (underMouse() && !input_->hasFocus() && !QApplication::activePopupWidget()) show_details();
                });
            break;
        case QEvent::Leave:
            if (watched == this && HelpPopover::of(this)->anchor() == this && !input_->hasFocus())
                HelpPopover::of(this)->dismiss();
            break;
        case QEvent::Wheel:
            if (HelpPopover::of(this)->anchor() == this) HelpPopover::of(this)->dismiss();
            // Scrolling past a list must not change what is chosen in it.
            if (watched == input_ && !input_->hasFocus() && qobject_cast<QComboBox*>(input_)) {
                event->ignore();
                return true;
            }
            break;
        case QEvent::FocusOut:
        case QEvent::MouseButtonPress:
            if (HelpPopover::of(this)->anchor() == this) HelpPopover::of(this)->dismiss();
            break;
        case QEvent::ShortcutOverride:  // F1 belongs to the field while it has the focus
            if (static_cast<QKeyEvent*>(event)->key() == Qt::Key_F1) event->accept();
            break;
        case QEvent::KeyPress:
            if (static_cast<QKeyEvent*>(event)->key() == Qt::Key_F1) {
                show_details();
                return true;
            }
            if (static_cast<QKeyEvent*>(event)->key() == Qt::Key_Escape && HelpPopover::of(this)->anchor() == this) {
                HelpPopover::of(this)->dismiss();
                return true;
            }
            break;
        default: break;
    }
    return QWidget::eventFilter(watched, event);
}

}  // namespace qlora::ui
