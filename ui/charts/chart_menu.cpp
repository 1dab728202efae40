// What the right button offers: scale, smoothing, export.
#include <qcustomplot.h>

#include <QFile>
#include <QMenu>
#include <QSvgGenerator>
#include <QTextStream>

#include "core/base/error.h"
#include "core/base/file.h"
#include "ui/charts/chart.h"
#include "ui/theme/icons.h"
#include "ui/theme/tokens.h"

namespace qlora::ui {

namespace {

Error export_failed(const QString& path, const QString& why) {
    return failure("chart.export", path.toStdString(), why.toStdString(), "Choose a folder you may write to.");
}

QString quoted(const QString& text) { return QLatin1Char('"') + QString(text).replace(QLatin1Char('"'), QStringLiteral("\"\"")) + QLatin1Char('"'); }

}  // namespace

void Chart::show_menu(const QPoint& position) {
    QMenu menu(this);
    menu.addAction(theme::icon(QStringLiteral("fit")), tr("Fit to the data"), this, &Chart::fit);
    QAction* log = menu.addAction(tr("Logarithmic scale"));
    log->setCheckable(true);
    log->setChecked(log_);
    connect(log, &QAction::toggled, this, &Chart::set_log_scale);
    const bool any_smoothed = std::any_of(curves_.begin(), curves_.end(), [](const Curve& c) { return c.style.smoothed; });
    if (any_smoothed) {
        QMenu* smoothing = menu.addMenu(tr("Smoothing"));
        for (const auto& [label, weight] : {std::pair{tr("None"), 0.0}, {tr("Light"), 0.6}, {tr("Medium"), 0.9}, {tr("Strong"), 0.97}}) {
            QAction* choice = smoothing->addAction(label);
            choice->setCheckable(true);
            choice->setChecked(std::abs(smoothing_ - weight) < 0.01);
            connect(choice, &QAction::triggered, this, [this, weight = weight] { set_smoothing(weight); });
        }
    }
    menu.addSeparator();
    for (const char* suffix : {"png", "svg", "csv"})
        menu.addAction(theme::icon(QStringLiteral("export")), tr("Save as %1…").arg(QString::fromLatin1(suffix).toUpper()), this,
                       [this, suffix] { emit export_requested(QString::fromLatin1(suffix)); });
    menu.exec(plot_->mapToGlobal(position));
}

void Chart::export_png(const QString& path, double scale) {
    redraw_now();
    if (!plot_->savePng(path, plot_->width(), plot_->height(), scale))
        throw export_failed(path, QStringLiteral("the picture could not be written"));
}

void Chart::export_svg(const QString& path) {
    redraw_now();
    QSvgGenerator generator;
    generator.setFileName(path);
    generator.setSize(plot_->size());
    generator.setViewBox(plot_->rect());
    generator.setTitle(title_);
    QCPPainter painter;
    if (!painter.begin(&generator)) throw export_failed(path, QStringLiteral("the picture could not be written"));
    painter.setMode(QCPPainter::pmVectorized);
    painter.fillRect(plot_->rect(), theme::current().card);
    plot_->toPainter(&painter, plot_->width(), plot_->height());
    painter.end();
}

void Chart::export_csv(const QString& path) const {
    QString text;
    QTextStream out(&text);
    out << "curve," << quoted(x_label_) << ',' << quoted(y_label_.isEmpty() ? title_ : y_label_) << '\n';
    for (const Curve& curve : curves_)
        for (std::size_t i = 0; i < curve.x.size(); ++i) {
            out << quoted(curve.name) << ',' << QString::number(curve.x[i], 'g', 17) << ',';
            if (std::isfinite(curve.y[i])) out << QString::number(curve.y[i], 'g', 17);
            out << '\n';
        }
    write_atomically(path.toStdString(), text.toStdString());
}

}  // namespace qlora::ui
