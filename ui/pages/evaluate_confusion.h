#pragma once
// The confusion matrix as a heat map with its counts: a table that arrow keys walk through. Right is blue and framed, wrong
// is orange; the shade is the share of the row.

#include <QHeaderView>
#include <QTableView>

#include "ui/models/confusion_model.h"

namespace qlora::ui {

class ConfusionView : public QTableView {
    Q_OBJECT

  public:
    explicit ConfusionView(QWidget* parent = nullptr);
    void set_matrix(const std::vector<std::vector<std::int64_t>>& matrix, const QStringList& names);

    // A cell's ground at a share of its row, and the ink that stands out from it.
    static QColor ground(double share, bool right);
    static QColor ink(const QColor& ground);

  protected:
    void resizeEvent(QResizeEvent* event) override;

  private:
    void fit();

    ConfusionModel* model_;
};

}  // namespace qlora::ui
