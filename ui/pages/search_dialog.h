#pragma once
// Sets up a search around the recipe being edited: which fields, over which values, how the runs are chosen.

#include <QDialog>
#include <functional>
#include <optional>
#include <vector>

#include "ui/models/search_draft.h"

class QComboBox;
class QLabel;
class QPushButton;
class QVBoxLayout;

namespace qlora::ui {

class ElidedLabel;
class NumberBox;
class SearchRowEditor;
class SegmentedControl;

class SearchDialog : public QDialog {
    Q_OBJECT

  public:
    // `seconds` of one run of the recipe, for the estimate; empty: not known.
    SearchDialog(const recipe::Recipe& recipe, std::optional<double> seconds, QWidget* parent = nullptr);

    // The description as it stands; empty while something is wrong.
    const std::optional<search::Search>& search() const { return search_; }
    const std::vector<SearchRowEditor*>& rows() const { return rows_; }
    QPushButton* start_button() const { return start_; }

  private:
    QWidget* make_strategy();
    void add_row(const SearchRow& row);
    void remove_row(SearchRowEditor* row);
    void refresh();

    const recipe::Recipe recipe_;
    const std::optional<double> seconds_;
    std::optional<search::Search> search_;
    std::vector<SearchRowEditor*> rows_;
    QVBoxLayout* list_;
    SegmentedControl* strategy_;
    QLabel *strategy_help_, *estimate_;
    NumberBox *runs_, *seed_;
    QComboBox* metric_;
    QPushButton *add_, *start_;
};

// One varied field: which, its values, and their scale where they are a range.
class SearchRowEditor : public QWidget {
    Q_OBJECT

  public:
    SearchRowEditor(const SearchRow& row, const recipe::Recipe& recipe, QWidget* parent = nullptr);

    SearchRow row() const;
    void set_values(const QString& text);
    void set_problem(const QString& problem);  // empty: none

  signals:
    void edited();
    void removed();

  private:
    QComboBox *field_, *scale_;
    class QLineEdit* values_;
    ElidedLabel* help_;
};

}  // namespace qlora::ui
