#pragma once
// A page's button in the rail: icon over name, marked while its page is shown, a dot while something happens there.

#include <QAbstractButton>

namespace qlora::ui {

class RailButton : public QAbstractButton {
    Q_OBJECT
  public:
    RailButton(const QString& icon, const QString& text, QWidget* parent = nullptr);
    void set_busy(bool busy);
    QSize sizeHint() const override { return {76, 56}; }

  protected:
    void paintEvent(QPaintEvent* event) override;
    void enterEvent(QEnterEvent* event) override;
    void leaveEvent(QEvent* event) override;

  private:
    QString icon_name_;
    bool hovered_ = false, busy_ = false;
};

}  // namespace qlora::ui
