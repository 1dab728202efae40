#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/schema.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>

#include <cmath>
#include <list>
#include <mutex>
#include <set>

#include "core/base/checked.h"
#include "core/data/pace.h"
#include "core/data/row_source.h"

namespace qlora::data::detail {

namespace {

constexpr std::int64_t most_decoded = std::int64_t{4} << 30;  // bytes at once, against decompression bombs
constexpr std::int64_t kept_decoded = std::int64_t{256} << 20;
constexpr int deepest = 16;

ColumnKind kind_of(const arrow::DataType& type, int depth = 0) {
    if (depth > deepest) return ColumnKind::unsupported;
    switch (type.id()) {
        case arrow::Type::NA:
            return ColumnKind::empty;
        case arrow::Type::STRING:
        case arrow::Type::LARGE_STRING:
        case arrow::Type::STRING_VIEW:
            return ColumnKind::string;
        case arrow::Type::BOOL:
            return ColumnKind::boolean;
        case arrow::Type::INT8:
        case arrow::Type::INT16:
        case arrow::Type::INT32:
        case arrow::Type::INT64:
        case arrow::Type::UINT8:
        case arrow::Type::UINT16:
        case arrow::Type::UINT32:
        case arrow::Type::UINT64:
        case arrow::Type::HALF_FLOAT:
        case arrow::Type::FLOAT:
        case arrow::Type::DOUBLE:
            return ColumnKind::number;
        // Written as text, as Arrow prints them.
        case arrow::Type::DATE32:
        case arrow::Type::DATE64:
        case arrow::Type::TIME32:
        case arrow::Type::TIME64:
        case arrow::Type::TIMESTAMP:
        case arrow::Type::DECIMAL128:
        case arrow::Type::DECIMAL256:
            return ColumnKind::string;
        case arrow::Type::DICTIONARY:
            return kind_of(*static_cast<const arrow::DictionaryType&>(type).value_type(), depth + 1);
        case arrow::Type::LIST:
        case arrow::Type::LARGE_LIST:
        case arrow::Type::FIXED_SIZE_LIST:
            return kind_of(*type.field(0)->type(), depth + 1) == ColumnKind::unsupported
                       ? ColumnKind::unsupported
                       : ColumnKind::list;
        case arrow::Type::STRUCT:
            for (const auto& field : type.fields())
                if (kind_of(*field->type(), depth + 1) == ColumnKind::unsupported)
                    return ColumnKind::unsupported;
            return ColumnKind::object;
        default:
            return ColumnKind::unsupported;
    }
}

Json value_at(const arrow::Array& array, std::int64_t index);

Json list_of(const arrow::Array& values, std::int64_t begin, std::int64_t length) {
    Json list = Json::array();
    for (std::int64_t i = 0; i < length; ++i) list.push_back(value_at(values, begin + i));
    return list;
}

template <typename List>
Json list_at(const arrow::Array& array, std::int64_t index) {
    const auto& list = static_cast<const List&>(array);
    return list_of(*list.values(), list.value_offset(index), list.value_length(index));
}

std::string checked_text(std::string_view text) {
    if (!is_utf8(text)) throw input_error("data.encoding", {}, "not valid UTF-8");
    return std::string(text);
}

// Of a supported type (see kind_of) and within the array.
Json value_at(const arrow::Array& array, std::int64_t index) {
    if (array.IsNull(index)) return nullptr;
    switch (array.type_id()) {
        case arrow::Type::STRING:
            return checked_text(static_cast<const arrow::StringArray&>(array).GetView(index));
        case arrow::Type::LARGE_STRING:
            return checked_text(static_cast<const arrow::LargeStringArray&>(array).GetView(index));
        case arrow::Type::STRING_VIEW:
            return checked_text(static_cast<const arrow::StringViewArray&>(array).GetView(index));
        case arrow::Type::BOOL:
            return static_cast<const arrow::BooleanArray&>(array).Value(index);
        case arrow::Type::INT8:
            return static_cast<const arrow::Int8Array&>(array).Value(index);
        case arrow::Type::INT16:
            return static_cast<const arrow::Int16Array&>(array).Value(index);
        case arrow::Type::INT32:
            return static_cast<const arrow::Int32Array&>(array).Value(index);
        case arrow::Type::INT64:
            return static_cast<const arrow::Int64Array&>(array).Value(index);
        case arrow::Type::UINT8:
            return static_cast<const arrow::UInt8Array&>(array).Value(index);
        case arrow::Type::UINT16:
            return static_cast<const arrow::UInt16Array&>(array).Value(index);
        case arrow::Type::UINT32:
            return static_cast<const arrow::UInt32Array&>(array).Value(index);
        case arrow::Type::UINT64:
            return static_cast<const arrow::UInt64Array&>(array).Value(index);
        case arrow::Type::FLOAT:
            return static_cast<const arrow::FloatArray&>(array).Value(index);
        case arrow::Type::DOUBLE:
            return static_cast<const arrow::DoubleArray&>(array).Value(index);
        case arrow::Type::LIST:
            return list_at<arrow::ListArray>(array, index);
        case arrow::Type::LARGE_LIST:
            return list_at<arrow::LargeListArray>(array, index);
        case arrow::Type::FIXED_SIZE_LIST:
            return list_at<arrow::FixedSizeListArray>(array, index);
        case arrow::Type::STRUCT: {
            const auto& structure = static_cast<const arrow::StructArray&>(array);
            Json object = Json::object();
            for (int i = 0; i < structure.num_fields(); ++i)
                object[structure.type()->field(i)->name()] = value_at(*structure.field(i), index);
            return object;
        }
        case arrow::Type::DICTIONARY: {
            const auto& coded = static_cast<const arrow::DictionaryArray&>(array);
            std::int64_t code = coded.GetValueIndex(index);
            if (code < 0 || code >= coded.dictionary()->length())
                throw input_error("data.parquet", {}, "a dictionary code is out of range");
            return value_at(*coded.dictionary(), code);
        }
        default:
            break;
    }
    auto scalar = array.GetScalar(index).ValueOrDie();
    if (array.type_id() == arrow::Type::HALF_FLOAT) return std::stod(scalar->ToString());
    return scalar->ToString();
}

void leaves(const parquet::arrow::SchemaField& field, std::vector<int>& columns) {
    if (field.is_leaf()) columns.push_back(field.column_index);
    for (const auto& child : field.children) leaves(child, columns);
}

class ParquetRows : public RowSource {
  public:
    explicit ParquetRows(File file)
        : RowSource(file->path().string()),
          file_(std::move(file)),
          pool_(arrow::default_memory_pool(), most_decoded) {
        guarded("cannot read its schema", [&] {
            auto bytes = file_->bytes();
            auto buffer = std::make_shared<arrow::Buffer>(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                                          static_cast<std::int64_t>(bytes.size()));
            parquet::arrow::FileReaderBuilder builder;
            check(builder.Open(std::make_shared<arrow::io::BufferReader>(buffer),
                               parquet::ReaderProperties(&pool_)));
            builder.memory_pool(&pool_);
            check(builder.Build(&reader_));
            describe_columns();
            count_rows();
        });
    }

    std::size_t rows() const override {
        return static_cast<std::size_t>(group_ends_.empty() ? 0 : group_ends_.back());
    }
    std::string where(std::size_t row) const override { return label_ + ", row " + std::to_string(row + 1); }

    Json cell(std::size_t row, std::size_t column) const override {
        if (columns_[column].kind == ColumnKind::unsupported)
            throw input_error("data.kind", label_,
                              "the column \"" + columns_[column].name + "\" holds " + types_[column] +
                                  ", which cannot be read");
        auto group = static_cast<std::size_t>(std::upper_bound(group_ends_.begin(), group_ends_.end(), row) -
                                              group_ends_.begin());
        std::int64_t index = static_cast<std::int64_t>(row - (group == 0 ? 0 : group_ends_[group - 1]));
        Json value;
        guarded("cannot read row " + std::to_string(row + 1), [&] {
            auto chunks = decoded(group, column);
            for (const auto& chunk : chunks->chunks()) {
                if (index < chunk->length()) {
                    value = value_at(*chunk, index);
                    return;
                }
                index -= chunk->length();
            }
            throw input_error("data.parquet", label_,
                              "the row group " + std::to_string(group) + " ends too early");
        });
        return value;
    }

    Json row(std::size_t row) const override {
        Json object = Json::object();
        for (std::size_t i = 0; i < columns_.size(); ++i)
            if (columns_[i].kind != ColumnKind::unsupported) object[columns_[i].name] = cell(row, i);
        return object;
    }

  private:
    struct Decoded {
        std::size_t group, column;
        std::shared_ptr<arrow::ChunkedArray> values;
    };

    static void check(const arrow::Status& status) {
        if (!status.ok()) throw std::runtime_error(status.message());
    }

    // Arrow speaks in statuses, Parquet in exceptions; both become one error that names the file.
    template <typename Work>
    void guarded(const std::string& what, Work&& work) const {
        try {
            work();
        } catch (const Error& error) {
            throw input_error(error.code(), label_, what + ": " + error.message());
        } catch (const std::exception& error) {
            file_->check();
            throw input_error("data.parquet", label_, what + ": " + error.what(),
                              "The file is damaged, cut short or needs too much memory; write it again with "
                              "smaller row groups.");
        }
    }

    void describe_columns() {
        const auto& manifest = reader_->manifest();
        if (manifest.schema_fields.size() > most_columns)
            throw input_error("data.columns_limit", label_,
                              "expected at most " + std::to_string(most_columns) + " columns");
        std::set<std::string> names;
        for (const auto& field : manifest.schema_fields) {
            const std::string& name = field.field->name();
            if (!is_utf8(name) || !names.insert(name).second)
                throw input_error("data.header", label_, "expected distinct column names in UTF-8");
            columns_.push_back({name, kind_of(*field.field->type())});
            types_.push_back(field.field->type()->ToString());
            leaves(field, leaves_.emplace_back());
            if (columns_.back().kind == ColumnKind::unsupported)
                notices_.push_back("The column \"" + name + "\" (" + types_.back() + ") cannot be used.");
        }
    }

    void count_rows() {
        auto metadata = reader_->parquet_reader()->metadata();
        std::uint64_t total = 0;
        for (int i = 0; i < metadata->num_row_groups(); ++i) {
            std::int64_t rows = metadata->RowGroup(i)->num_rows();
            auto sum = rows < 0 ? std::nullopt : checked_add(total, static_cast<std::uint64_t>(rows));
            if (!sum || *sum >= UINT32_MAX)
                throw input_error("data.too_many_rows", label_, "expected fewer than 4,294,967,295 rows");
            group_ends_.push_back(total = *sum);
        }
        if (metadata->num_rows() != static_cast<std::int64_t>(total))
            throw input_error("data.parquet", label_,
                              "the footer says " + std::to_string(metadata->num_rows()) +
                                  " rows, its row groups " + std::to_string(total));
    }

    std::shared_ptr<arrow::ChunkedArray> decoded(std::size_t group, std::size_t column) const {
        std::lock_guard lock(mutex_);
        auto found = std::find_if(cache_.begin(), cache_.end(), [&](const Decoded& entry) {
            return entry.group == group && entry.column == column;
        });
        if (found != cache_.end()) {
            cache_.splice(cache_.begin(), cache_, found);
            return cache_.front().values;
        }
        // Columns are read one by one, so that a column of pictures beside the text is never decoded.
        auto read = reader_->ReadRowGroup(static_cast<int>(group), leaves_[column]);
        check(read.status());
        auto values = (*read)->column(0);
        for (const auto& chunk : values->chunks()) check(chunk->ValidateFull());
        cache_.push_front({group, column, values});
        while (cache_.size() > columns_.size() && pool_.bytes_allocated() > kept_decoded) cache_.pop_back();
        return values;
    }

    File file_;
    mutable arrow::CappedMemoryPool pool_;
    std::unique_ptr<parquet::arrow::FileReader> reader_;
    std::vector<std::uint64_t> group_ends_;  // rows up to and with each row group
    std::vector<std::vector<int>> leaves_;   // by column: Parquet's own columns under it
    std::vector<std::string> types_;
    mutable std::mutex mutex_;
    mutable std::list<Decoded> cache_;  // newest first
};

}  // namespace

Source open_parquet(File file, const TableOptions&, const Control* control, const Progress& progress) {
    Pace pace(control, progress, "reading the data", 1);
    pace.at(0);
    auto rows = std::make_shared<ParquetRows>(std::move(file));
    pace.finish();
    return rows;
}

}  // namespace qlora::data::detail
