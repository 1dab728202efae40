#pragma once
// Measures how long the UI thread was kept from its events: a timer that should come every few milliseconds.
// Time in which the system gave the processor to others is not the window's doing and does not count.

#include <QElapsedTimer>
#include <QFile>
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
    qint64 waited_ns();  // for a processor, since the thread began; 0 where the system does not tell

    QTimer timer_;
    QElapsedTimer since_;
    QFile schedule_;
    qint64 waited_before_ = 0;
    double worst_ms_ = 0;
};

}  // namespace qlora::ui
