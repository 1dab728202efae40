#pragma once
// Measures how long the UI thread was kept from its events: a timer that should come every few milliseconds.

#include <QElapsedTimer>
#include <QObject>
#include <QTimer>

namespace qlora::ui {

class LatencyProbe : public QObject {
    Q_OBJECT

  public:
    explicit LatencyProbe(QObject* parent = nullptr);
    void start();
    double worst_ms() const { return worst_ms_; }  // the longest block since start()

  private:
    QTimer timer_;
    QElapsedTimer since_;
    double worst_ms_ = 0;
};

}  // namespace qlora::ui
