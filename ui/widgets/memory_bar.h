#pragma once
// Where the memory goes: bytes by tag, stacked, against the total. Hatches go with the colours; the figures by tag
// are in the tooltip and in the accessible description. Grows in 150 ms when the figures change.

#include <QWidget>
#include <array>

#include "core/base/memory_tag.h"

class QVariantAnimation;

namespace qlora::ui {

class MemoryBar : public QWidget {
    Q_OBJECT
  public:
    explicit MemoryBar(QWidget* parent = nullptr);

    // `total` 0: unknown, the bar is then as long as the bytes. `used_by_others`: in use on the device beside `bytes`.
    void set_memory(const MemoryBytes& bytes, std::int64_t total, std::int64_t used_by_others = 0);
    const MemoryBytes& bytes() const { return bytes_; }
    std::int64_t total() const { return total_; }
    bool fits() const { return total_ == 0 || bytes_.total() + others_ <= total_; }
    void set_thickness(int pixels);

    QSize sizeHint() const override;
    QSize minimumSizeHint() const override;

  protected:
    void paintEvent(QPaintEvent* event) override;
    bool event(QEvent* event) override;

  private:
    QString description() const;

    MemoryBytes bytes_;
    std::int64_t total_ = 0, others_ = 0;
    std::array<double, memory_tag_count + 1> shown_{}, from_{};  // by tag, then the others'
    QVariantAnimation* animation_;
    int thickness_ = 16;
};

// The legend: a hatched swatch, the tag's name and its bytes, one a line or flowing.
class MemoryLegend : public QWidget {
    Q_OBJECT
  public:
    explicit MemoryLegend(QWidget* parent = nullptr);
    void set_memory(const MemoryBytes& bytes);
    QSize sizeHint() const override;
    QSize minimumSizeHint() const override { return sizeHint(); }

  protected:
    void paintEvent(QPaintEvent* event) override;

  private:
    MemoryBytes bytes_;
};

QString tag_text(MemoryTag tag);  // "optimizer", translated

}  // namespace qlora::ui
