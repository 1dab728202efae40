#include "ui/widgets/number_box.h"

#include <QLineEdit>
#include <QLocale>
#include <QWheelEvent>
#include <algorithm>
#include <cmath>

namespace qlora::ui {

namespace {

// The neighbour in 1, 2, 5, 10, 20, 50, ...
double one_two_five(double value, int direction) {
    if (value <= 0) return direction > 0 ? 1e-6 : 0;
    const double decade = std::pow(10.0, std::floor(std::log10(value) + 1e-9));
    const double lead = value / decade;
    constexpr double slack = 1e-6;
    if (direction > 0) {
        for (double next : {1.0, 2.0, 5.0, 10.0})
            if (lead < next * (1 - slack)) return next * decade;
        return 20 * decade;
    }
    for (double next : {5.0, 2.0, 1.0, 0.5})
        if (lead > next * (1 + slack)) return next * decade;
    return 0.2 * decade;
}

double next_value(double value, int direction, const NumberBox::Range& range) {
    if (!range.allowed.empty()) {
        auto at = std::lower_bound(range.allowed.begin(), range.allowed.end(), value);
        if (direction > 0) at = std::upper_bound(range.allowed.begin(), range.allowed.end(), value);
        if (direction < 0) return at == range.allowed.begin() ? *at : *std::prev(at);
        return at == range.allowed.end() ? range.allowed.back() : *at;
    }
    if (range.integer) return value + direction;
    // Shares of one (dropout, fractions) step by hundredths, everything else by 1-2-5.
    if (range.high <= 1 && range.low == 0 && value >= 0.01) return std::round((value + 0.01 * direction) * 100) / 100;
    if (range.high <= 1 && range.low == 0) return direction > 0 ? 0.01 : 0;
    return one_two_five(value, direction);
}

}  // namespace

NumberBox::NumberBox(Range range, QWidget* parent) : QAbstractSpinBox(parent), range_(std::move(range)) {
    std::sort(range_.allowed.begin(), range_.allowed.end());
    setLocale(QLocale::c());
    setFocusPolicy(Qt::StrongFocus);  // a wheel over a form scrolls the form
    lineEdit()->setAlignment(Qt::AlignLeft);
    connect(lineEdit(), &QLineEdit::textEdited, this, &NumberBox::text_edited);
}

QString NumberBox::text_of(double value, bool integer) {
    if (integer) return QString::number(static_cast<qint64>(std::llround(value)));
    if (value != 0 && std::abs(value) < 1e-3) {
        QString text = QString::number(value, 'e', 6);
        const qsizetype e = text.indexOf(QLatin1Char('e'));
        QString mantissa = text.left(e);
        while (mantissa.endsWith(QLatin1Char('0'))) mantissa.chop(1);
        if (mantissa.endsWith(QLatin1Char('.'))) mantissa.chop(1);
        return mantissa + QLatin1Char('e') + QString::number(text.mid(e + 1).toInt());
    }
    return QString::number(value, 'g', 8);
}

void NumberBox::set_value(double value) {
    if (auto shown = this->value(); shown && *shown == value) return;  // "2.0e-4" stays as typed
    lineEdit()->setText(text_of(value, range_.integer));
}

std::optional<double> NumberBox::value() const {
    bool read = false;
    const double value = text().trimmed().toDouble(&read);
    if (!read || !std::isfinite(value) || value < range_.low || value > range_.high) return {};
    if (range_.integer && value != std::floor(value)) return {};
    if (!range_.allowed.empty() && !std::binary_search(range_.allowed.begin(), range_.allowed.end(), value)) return {};
    return value;
}

void NumberBox::stepBy(int steps) {
    bool read = false;
    double value = text().trimmed().toDouble(&read);
    if (!read || !std::isfinite(value)) value = range_.low;
    for (int i = 0; i < std::abs(steps); ++i) value = next_value(value, steps > 0 ? 1 : -1, range_);
    lineEdit()->setText(text_of(std::clamp(value, range_.low, range_.high), range_.integer));
    emit text_edited();
}

QAbstractSpinBox::StepEnabled NumberBox::stepEnabled() const {
    const auto now = value();
    if (!now) return StepUpEnabled | StepDownEnabled;
    StepEnabled enabled;
    if (*now < range_.high) enabled |= StepUpEnabled;
    if (*now > range_.low) enabled |= StepDownEnabled;
    return enabled;
}

QValidator::State NumberBox::validate(QString& text, int& position) const { return QValidator::Acceptable; }

void NumberBox::wheelEvent(QWheelEvent* event) {
    if (hasFocus()) QAbstractSpinBox::wheelEvent(event);
    else event->ignore();
}

}  // namespace qlora::ui
