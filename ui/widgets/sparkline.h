#pragma once
// A curve without axes, for the rail and for cards. NaN is a gap.

#include <QList>
#include <QWidget>

namespace qlora::ui {

class Sparkline : public QWidget {
    Q_OBJECT
  public:
    explicit Sparkline(QWidget* parent = nullptr);
    void set_values(const QList<double>& values);  // drawn evenly spaced; at most a few hundred
    QSize sizeHint() const override { return {72, 24}; }

    // For delegates: the same drawing inside `area`.
    static void draw(QPainter& painter, const QRectF& area, const QList<double>& values, const QColor& color);

  protected:
    void paintEvent(QPaintEvent* event) override;

  private:
    QList<double> values_;
};

}  // namespace qlora::ui
