#include "ui/format/format.h"

#include <QCoreApplication>
#include <QDateTime>
#include <QDir>
#include <QLocale>
#include <array>
#include <cmath>

namespace qlora::format {

namespace {

const QString unknown = QStringLiteral("–");

QString tr(const char* text) { return QCoreApplication::translate("format", text); }

// Three significant figures without an exponent, for values from 1e-3 up.
QString three_figures(double value) {
    const double magnitude = std::abs(value);
    if (magnitude == 0) return QStringLiteral("0");
    const int digits_before = static_cast<int>(std::floor(std::log10(magnitude))) + 1;
    const QString text = QString::number(value, 'f', std::max(0, 3 - digits_before));
    // 9.996 rounds to 10.00: count again on the rounded value.
    const double rounded = std::abs(text.toDouble());
    if (rounded > 0 && static_cast<int>(std::floor(std::log10(rounded))) + 1 > digits_before)
        return QString::number(value, 'f', std::max(0, 2 - digits_before));
    return text;
}

QString grouped(const QString& digits) {
    QString out = digits;
    const int first = out.startsWith(QLatin1Char('-')) ? 1 : 0;
    for (qsizetype at = out.size() - 3; at > first; at -= 3) out.insert(at, QLatin1Char(','));
    return out;
}

}  // namespace

QString figure(double value) {
    if (!std::isfinite(value)) return unknown;
    const double magnitude = std::abs(value);
    if (magnitude == 0) return QStringLiteral("0");
    if (magnitude < 1e-3 || magnitude >= 1e7) {
        QString text = QString::number(value, 'e', 2);
        qsizetype e = text.indexOf(QLatin1Char('e'));
        QString mantissa = text.left(e);
        while (mantissa.endsWith(QLatin1Char('0'))) mantissa.chop(1);
        if (mantissa.endsWith(QLatin1Char('.'))) mantissa.chop(1);
        return mantissa + QLatin1Char('e') + QString::number(text.mid(e + 1).toInt());
    }
    if (magnitude >= 1000) return count(std::llround(value));
    return three_figures(value);
}

QString count(std::int64_t value) { return grouped(QString::number(value)); }

QString bytes(std::int64_t value) {
    if (value < 0) return unknown;
    static constexpr std::array units{"B", "kB", "MB", "GB", "TB", "PB"};
    double scaled = static_cast<double>(value);
    std::size_t unit = 0;
    while (scaled >= 999.5 && unit + 1 < units.size()) {
        scaled /= 1000;
        ++unit;
    }
    const QString number = unit == 0 ? QString::number(value) : three_figures(scaled);
    return number + QLatin1Char(' ') + QLatin1String(units[unit]);
}

QString duration(double seconds) {
    if (!std::isfinite(seconds) || seconds < 0) return unknown;
    if (seconds < 0.001) return tr("under 1 ms");
    if (seconds < 0.1) return tr("%1 ms").arg(std::llround(seconds * 1000));
    if (seconds < 9.95) return tr("%1 s").arg(seconds, 0, 'f', 1);
    const std::int64_t whole = std::llround(seconds);
    if (whole < 60) return tr("%1 s").arg(whole);
    if (whole < 3600) return tr("%1 min %2 s").arg(whole / 60).arg(whole % 60, 2, 10, QLatin1Char('0'));
    if (whole < 86400) return tr("%1 h %2 min").arg(whole / 3600).arg(whole % 3600 / 60, 2, 10, QLatin1Char('0'));
    return tr("%1 d %2 h").arg(whole / 86400).arg(whole % 86400 / 3600, 2, 10, QLatin1Char('0'));
}

QString parameters(std::int64_t value) {
    if (value < 0) return unknown;
    const double v = static_cast<double>(value);
    if (v >= 999.5e6) return three_figures(v / 1e9) + QLatin1Char('B');
    if (v >= 999.5e3) return three_figures(v / 1e6) + QLatin1Char('M');
    if (v >= 1000) return three_figures(v / 1e3) + QLatin1Char('k');
    return QString::number(value);
}

QString tokens(std::int64_t value) {
    if (value < 0) return unknown;
    if (value >= 1024 && value % 1024 == 0) return QString::number(value / 1024) + QLatin1Char('k');
    return count(value);
}

QString rate(double tokens_per_second) {
    if (!std::isfinite(tokens_per_second) || tokens_per_second < 0) return unknown;
    return tr("%1 tok/s").arg(figure(tokens_per_second));
}

QString percent(double fraction) {
    if (!std::isfinite(fraction)) return unknown;
    const double size = std::abs(fraction);
    const int decimals = size >= 0.1 ? 0 : size >= 0.001 || size == 0 ? 1 : 3;
    return QString::number(fraction * 100, 'f', decimals) + QStringLiteral(" %");
}

QString when(std::int64_t seconds_since_1970) {
    const QDateTime time = QDateTime::fromSecsSinceEpoch(seconds_since_1970);
    const QDate today = QDate::currentDate();
    const QString clock = time.toString(QStringLiteral("HH:mm"));
    if (time.date() == today) return tr("today %1").arg(clock);
    if (time.date() == today.addDays(-1)) return tr("yesterday %1").arg(clock);
    return QLocale::c().toString(time.date(), QStringLiteral("d MMM yyyy"));
}

QString path(const QString& path) {
    const QString home = QDir::homePath();
    return path.startsWith(home + QLatin1Char('/')) ? QLatin1Char('~') + path.mid(home.size()) : path;
}

QString one_line(const QString& text, int length) {
    QString line = text.left(length * 4).simplified();
    if (line.size() > length) line = line.left(length - 1).trimmed() + QStringLiteral("…");
    return line;
}

}  // namespace qlora::format
