#pragma once
// A short message over the foot of a page, with an optional undo; goes by itself after some seconds.

#include <QFrame>
#include <functional>

class QLabel;
class QPushButton;
class QTimer;

namespace qlora::ui {

class Toast : public QFrame {
    Q_OBJECT
  public:
    explicit Toast(QWidget* host);  // hidden; placed over the host's foot

    void say(const QString& text);
    // `settle` is called once the time to undo is over (or another message comes), unless `undo` was.
    void offer_undo(const QString& text, std::function<void()> undo, std::function<void()> settle = {});
    QPushButton* undo_button() const { return undo_; }

  protected:
    bool eventFilter(QObject* watched, QEvent* event) override;
    void hideEvent(QHideEvent* event) override;

  private:
    void show_for(int milliseconds);
    void place();
    void settle();

    QLabel* text_;
    QPushButton* undo_;
    QTimer* timer_;
    std::function<void()> undo_action_, settle_action_;
};

}  // namespace qlora::ui
