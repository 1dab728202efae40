#pragma once
// A grid whose number of columns follows the width: cells share one width, rows keep their own height.

#include <QLayout>
#include <memory>
#include <vector>

namespace qlora::ui {

class FlowGrid : public QLayout {
    Q_OBJECT
  public:
    FlowGrid(int cell_width, int horizontal_gap, int vertical_gap, QWidget* parent = nullptr);
    ~FlowGrid() override;

    void addItem(QLayoutItem* item) override;
    int count() const override { return static_cast<int>(items_.size()); }
    QLayoutItem* itemAt(int index) const override;
    QLayoutItem* takeAt(int index) override;
    Qt::Orientations expandingDirections() const override { return {}; }
    bool hasHeightForWidth() const override { return true; }
    int heightForWidth(int width) const override;
    QSize sizeHint() const override;
    QSize minimumSize() const override;
    void setGeometry(const QRect& rect) override;

  private:
    int arrange(const QRect& rect, bool place) const;

    int cell_width_, horizontal_gap_, vertical_gap_;
    std::vector<std::unique_ptr<QLayoutItem>> items_;
};

}  // namespace qlora::ui
