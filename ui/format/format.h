#pragma once
// Numbers for people: three significant figures, a unit, the same in every locale. An unknown value (NaN, negative
// where that makes no sense) is "–", never 0.

#include <QString>
#include <cstdint>

namespace qlora::format {

QString figure(double value);                 // 2.31, 0.0123, 3.2e-4, 12,400
QString count(std::int64_t value);            // 12,400
QString bytes(std::int64_t value);            // 1.43 GB (powers of 1000)
QString duration(double seconds);             // 0.4 s, 45 s, 2 min 10 s, 1 h 05 min, 3 d 04 h
QString parameters(std::int64_t value);       // 135M, 1.24B
QString tokens(std::int64_t value);           // 512, 8k, 128k (powers of 1024 where exact)
QString rate(double tokens_per_second);       // 77 tok/s
QString percent(double fraction);             // 12.3 %
QString when(std::int64_t seconds_since_1970);  // today 14:03, yesterday 09:12, 3 May 2026
// A file's name or a folder's last part, with ~ for the home folder in full paths.
QString path(const QString& path);
// One line of at most `length` characters, line breaks shown as spaces.
QString one_line(const QString& text, int length);

}  // namespace qlora::format
