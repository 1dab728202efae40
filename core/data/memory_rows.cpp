#include "core/data/row_source.h"

namespace qlora::data::detail {

namespace {

ColumnKind kind_of(const OrderedJson& value) {
    if (value.is_string()) return ColumnKind::string;
    if (value.is_number()) return ColumnKind::number;
    if (value.is_boolean()) return ColumnKind::boolean;
    if (value.is_array()) return ColumnKind::list;
    if (value.is_object()) return ColumnKind::object;
    return ColumnKind::empty;
}

class MemoryRows : public RowSource {
  public:
    MemoryRows(std::vector<OrderedJson> rows, std::string label) : RowSource(std::move(label)) {
        rows_.reserve(rows.size());
        for (auto& row : rows) {
            if (!row.is_object())
                throw input_error("data.row", where(rows_.size()),
                                  "expected an object, got " + describe(Json(row)));
            for (const auto& [key, value] : row.items()) {
                auto known = std::find_if(columns_.begin(), columns_.end(),
                                          [&, key = key](const Column& c) { return c.name == key; });
                if (known == columns_.end()) known = columns_.insert(known, Column{key, ColumnKind::empty});
                ColumnKind kind = kind_of(value);
                if (!fits(known->kind, kind)) throw kind_changed(*known, kind, where(rows_.size()));
                if (kind != ColumnKind::empty) known->kind = kind;
            }
            rows_.emplace_back(std::move(row));
        }
    }

    std::size_t rows() const override { return rows_.size(); }
    Json row(std::size_t row) const override { return rows_[row]; }
    Json cell(std::size_t row, std::size_t column) const override {
        auto found = rows_[row].find(columns_[column].name);
        return found == rows_[row].end() ? Json() : *found;
    }
    std::string where(std::size_t row) const override { return label_ + ", row " + std::to_string(row + 1); }

  private:
    std::vector<Json> rows_;
};

}  // namespace

Source hold_rows(std::vector<OrderedJson> rows, std::string label) {
    return std::make_shared<MemoryRows>(std::move(rows), std::move(label));
}

}  // namespace qlora::data::detail
