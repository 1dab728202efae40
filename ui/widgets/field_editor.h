#pragma once
// The form control of one recipe field, made from the table of fields: label, value, unit, one line of help; hovering
// or F1 unfolds what it does and typical values; a wrong value is marked as it is typed, with what is expected.

#include <QWidget>

#include "core/recipe/fields.h"

class QHBoxLayout;
class QLabel;
class QToolButton;

namespace qlora::ui {

class ElidedLabel;

class FieldEditor : public QWidget {
    Q_OBJECT
  public:
    // `field` belongs to the table and outlives every editor.
    explicit FieldEditor(const recipe::Field& field, QWidget* parent = nullptr);

    const recipe::Field& field() const { return field_; }
    void set_value(const Json& value);  // emits nothing; keeps the text while the user is typing the same value
    const Json& value() const { return value_; }  // the last valid one
    bool valid() const { return problem_.isEmpty(); }
    bool mistyped() const { return !own_problem_.isEmpty(); }  // the text is no value of this field
    // A contradiction with other fields, found by recipe::validate; empty: none.
    void set_problem(const QString& problem);
    QWidget* input() const { return input_; }
    // A button at the right of the input; the page says what it does.
    QToolButton* add_button(const QString& icon, const QString& accessible_name);

  signals:
    void edited(const QString& key);     // value() is new and valid
    void validity_changed(bool valid);   // or what is wrong changed
    void browse_requested(const QString& key);  // of a path field; the page answers with set_value()

  protected:
    bool eventFilter(QObject* watched, QEvent* event) override;

  private:
    void build_text();
    void build_path();
    void build_number();
    void build_boolean();
    void build_choice();
    void build_list();
    void accept(const Json& value);
    void show_help_line();
    void show_details();

    const recipe::Field& field_;
    Json value_;
    QString own_problem_, problem_;
    QWidget* input_ = nullptr;
    QHBoxLayout* input_row_;
    QLabel* label_;
    ElidedLabel* help_;
    std::function<void(const Json&)> show_;
    bool showing_ = false;
};

// The words for people of a choice's value: "nf4" -> "NF4 (4 bit)"; unknown ones as they are.
QString choice_text(const std::string& key, const std::string& value);

}  // namespace qlora::ui
