#pragma once
// The unfolded explanation of a control, beside it: what it does, typical values. Plain text; closes by itself when
// the pointer or the focus leaves.

#include <QFrame>

class QLabel;

namespace qlora::ui {

class HelpPopover : public QFrame {
    Q_OBJECT
  public:
    // One a window, made on first use and owned by the window.
    static HelpPopover* of(QWidget* anchor);

    void explain(QWidget* anchor, const QString& title, const QString& text, const QString& typical);
    QWidget* anchor() const { return anchor_; }
    void dismiss();

  private:
    explicit HelpPopover(QWidget* window);

    QWidget* anchor_ = nullptr;
    QLabel *title_, *text_, *typical_;
};

}  // namespace qlora::ui
