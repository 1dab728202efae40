#pragma once
// Parallel coordinates: one upright axis a varied field and one for the metric, one line a trial from left to right. The best
// trial's line is marked, the one under the pointer and the selected one stand out; a trial without a figure ends before the metric.

#include <QWidget>
#include <vector>

#include "ui/models/trial_axes.h"

namespace qlora::ui {

class ParallelAxes : public QWidget {
    Q_OBJECT

  public:
    struct Line {
        std::vector<double> places;  // one an axis, 0 to 1; NaN: none
        QString text;                // for a screen reader and the tooltip
        bool best = false, baseline = false;
    };
    explicit ParallelAxes(QWidget* parent = nullptr);

    void set(std::vector<TrialAxis> axes, std::vector<Line> lines);
    void set_selected(int line);  // -1: none; emits nothing
    int selected() const { return selected_; }
    // The line within reach of a point; -1: none.
    int line_at(const QPointF& point) const;
    QPointF point_of(int line, int axis) const;

    QSize minimumSizeHint() const override { return {240, 140}; }

  signals:
    void clicked(int line);
    void hovered(int line);  // -1: none

  protected:
    void paintEvent(QPaintEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void leaveEvent(QEvent* event) override;
    void changeEvent(QEvent* event) override;

  private:
    QRectF area() const;
    double x_of(int axis) const;
    void paint_axes(QPainter& painter) const;
    void paint_line(QPainter& painter, int line) const;
    void hover(int line);

    std::vector<TrialAxis> axes_;
    std::vector<Line> lines_;
    int selected_ = -1, hovered_ = -1;
};

}  // namespace qlora::ui
