#pragma once
// A number that keeps its width while it runs: tabular figures, right-aligned, room reserved for a sample text.

#include <QLabel>

namespace qlora::ui {

class FigureLabel : public QLabel {
    Q_OBJECT
  public:
    // `widest`: the longest text to reserve room for, "888.8 MB".
    explicit FigureLabel(const QString& widest, int pixels = 13, QWidget* parent = nullptr);
};

}  // namespace qlora::ui
