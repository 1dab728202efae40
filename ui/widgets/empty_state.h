#pragma once
// What a page shows before it has anything: an icon, one sentence that teaches, and the one button that fills it.

#include <QWidget>

class QPushButton;

namespace qlora::ui {

class EmptyState : public QWidget {
    Q_OBJECT
  public:
    EmptyState(const QString& icon, const QString& title, const QString& sentence, const QString& button = {},
               QWidget* parent = nullptr);
    QPushButton* button() const { return button_; }

  signals:
    void activated();

  protected:
    void changeEvent(QEvent* event) override;

  private:
    void refresh_icon();

    QString icon_;
    class QLabel* picture_;
    QPushButton* button_ = nullptr;
};

}  // namespace qlora::ui
