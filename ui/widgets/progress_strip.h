#pragma once
// Work that takes over 300 ms: what is being done, how much is left, and a cancel. Takes its room even when idle, so
// that nothing jumps, and appears 300 ms after begin().

#include <QWidget>

class QLabel;
class QProgressBar;
class QPushButton;
class QTimer;

namespace qlora::ui {

class ProgressStrip : public QWidget {
    Q_OBJECT
  public:
    explicit ProgressStrip(QWidget* parent = nullptr);

    void begin(const QString& what, bool cancellable = true);
    void set_progress(const QString& what, double done, double total);  // total 0: unknown
    void end();
    bool active() const { return active_; }

  signals:
    void cancelled();

  private:
    void reveal(bool visible);

    QLabel *what_, *share_;
    QProgressBar* bar_;
    QPushButton* cancel_;
    QTimer* delay_;
    bool active_ = false, cancellable_ = true;
};

}  // namespace qlora::ui
