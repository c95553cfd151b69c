#include "client/table.h"

#include <algorithm>

#include "client/format.h"

namespace hutch::client {
namespace {

/// Characters, not bytes: UTF-8 continuation bytes take no column.
size_t width(std::string_view text) {
    return static_cast<size_t>(std::count_if(text.begin(), text.end(),
                                             [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80; }));
}

std::string padding(size_t columns) {
    return std::string(columns, ' ');
}

}  // namespace

Table::Table(std::vector<std::string> headers) {
    auto& row = rows_.emplace_back();
    for (std::string& header : headers) row.emplace_back(std::move(header), Tone::kDim);
}

void Table::add(std::vector<Cell> row) {
    for (Cell& cell : row) cell.text = printable(cell.text);
    rows_.push_back(std::move(row));
}

std::string Table::text(Colour colour) const {
    std::vector<size_t> widths(rows_.front().size());
    for (const auto& row : rows_) {
        for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i].text));
    }
    std::string lines;
    for (const auto& row : rows_) {
        std::string gap;  // written only before a cell that has something to show: no line ends in spaces
        for (size_t i = 0; i < row.size(); ++i) {
            if (!row[i].text.empty()) {
                lines += gap + paint(row[i].text, row[i].tone, colour);
                gap.clear();
            }
            gap += padding(widths[i] - width(row[i].text) + 2);
        }
        lines += '\n';
    }
    return lines;
}

std::string key_values(const std::vector<std::pair<std::string, Cell>>& rows, Colour colour) {
    size_t widest = 0;
    for (const auto& [key, value] : rows) {
        if (!value.text.empty()) widest = std::max(widest, width(key));
    }
    std::string lines;
    for (const auto& [key, value] : rows) {
        if (value.text.empty()) continue;
        const std::string clean = printable(value.text, Lines::kKeep);
        std::string prefix = paint(key, Tone::kDim, colour) + padding(widest - width(key) + 2);
        for (size_t start = 0; start <= clean.size();) {
            const size_t end = std::min(clean.find('\n', start), clean.size());
            lines += prefix + paint(clean.substr(start, end - start), value.tone, colour) + '\n';
            prefix = padding(widest + 2);
            start = end + 1;
        }
    }
    return lines;
}

}  // namespace hutch::client
