#pragma once
// A few exclusive choices side by side: Simple | Advanced. Left and right keys move.

#include <QWidget>

class QButtonGroup;

namespace qlora::ui {

class SegmentedControl : public QWidget {
    Q_OBJECT
  public:
    SegmentedControl(const QString& accessible_name, const QStringList& choices, QWidget* parent = nullptr);
    // Icons instead of words; the words become tooltips and accessible names.
    void set_icons(const QStringList& icons);
    void set_text(int index, const QString& text);
    int current() const;
    void set_current(int index);  // emits changed() when it is new

  signals:
    void changed(int index);

  protected:
    void paintEvent(QPaintEvent* event) override;

  private:
    QButtonGroup* group_;
};

}  // namespace qlora::ui
