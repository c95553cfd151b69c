#include "archives/plain.h"

#include <archive.h>

#include <algorithm>
#include <cstring>

#include "archives/input.h"

namespace hutch::archives {

namespace {

class Plain {
  public:
    Plain(Pull packed, Packers packers) : packers_(packers), input_{std::move(packed)}, reader_(archive_read_new()) {}
    Result<void> open();
    Result<size_t> read(char* buffer, size_t size);

  private:
    Result<void> next();

    const Packers packers_;
    Input input_;
    Reader reader_;
    const char* data_ = nullptr;
    size_t left_ = 0;
    bool ended_ = false;
};

Result<void> Plain::open() {
    archive* reader = reader_.get();
    if (reader == nullptr) return errno_error("unpacking the archive", ENOMEM);
    if (archive_read_support_filter_gzip(reader) != ARCHIVE_OK ||
        (packers_ == Packers::kAll && archive_read_support_filter_xz(reader) != ARCHIVE_OK) ||
        archive_read_support_filter_zstd(reader) != ARCHIVE_OK ||
        archive_read_support_format_raw(reader) != ARCHIVE_OK ||
        archive_read_support_format_empty(reader) != ARCHIVE_OK ||
        archive_read_open(reader, &input_, nullptr, read_input, nullptr) != ARCHIVE_OK) {
        return broken_input(input_, reader);
    }
    archive_entry* entry = nullptr;
    const int got = archive_read_next_header(reader, &entry);
    ended_ = got == ARCHIVE_EOF;
    if (!ended_ && got != ARCHIVE_OK) return broken_input(input_, reader);
    constexpr int kOnce = 2;  // with that which reads
    if (archive_filter_count(reader) > kOnce) return invalid("it is packed more than once");
    return {};
}

Result<void> Plain::next() {
    const void* data = nullptr;
    int64_t offset = 0;
    const int got = archive_read_data_block(reader_.get(), &data, &left_, &offset);
    ended_ = got == ARCHIVE_EOF;
    if (!ended_ && got != ARCHIVE_OK) return broken_input(input_, reader_.get());
    data_ = static_cast<const char*>(data);
    return {};
}

Result<size_t> Plain::read(char* buffer, size_t size) {
    while (left_ == 0 && !ended_) TRY(next());
    if (ended_) {
        // What follows the packed part is nothing to us, but who counts or hashes the bytes must see it.
        while (TRY(input_.pull(input_.buffer.data(), input_.buffer.size())) > 0) {
        }
        return size_t{0};
    }
    const size_t taken = std::min(size, left_);
    std::memcpy(buffer, data_, taken);
    data_ += taken;
    left_ -= taken;
    return taken;
}

}  // namespace

Result<Pull> plain_from(Pull packed, Packers packers) {
    const auto plain = std::make_shared<Plain>(std::move(packed), packers);
    TRY(plain->open());
    return Pull([plain](char* buffer, size_t size) { return plain->read(buffer, size); });
}

}  // namespace hutch::archives
