#pragma once
// A classifier's figures by class, its confusion matrix, and its predictions row by row; base or tuned.

#include <QWidget>

#include "core/evaluate/chat.h"

class QCheckBox;
class QComboBox;
class QLabel;
class QSortFilterProxyModel;
class QStackedWidget;
class QTableView;

namespace qlora::ui {

class ClassFiguresModel;
class ConfusionView;
class PredictionsModel;
class SegmentedControl;

class EvaluateClasses : public QWidget {
    Q_OBJECT

  public:
    explicit EvaluateClasses(QWidget* parent = nullptr);

    // Shows what the report has: classes and matrix of the last contender first; predictions alone for numbers.
    void set_report(const evaluate::Report& report);

  private:
    QWidget* make_classes();
    QWidget* make_predictions();
    void show_view(int index);
    void show_contender();
    void show_only_wrong(bool only);

    evaluate::Report report_;
    bool numbers_ = false;  // what is predicted: nothing of it is right or wrong
    ClassFiguresModel* figures_;
    PredictionsModel* predictions_;
    QSortFilterProxyModel* shown_;
    SegmentedControl* view_;
    QComboBox* contender_;  // its data: the contender's place in the report
    QStackedWidget* stack_;
    QWidget* matrix_side_;
    ConfusionView* matrix_;
    QTableView *classes_, *rows_;
    QCheckBox* only_wrong_;
    QLabel* none_;
};

}  // namespace qlora::ui
