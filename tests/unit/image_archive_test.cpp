#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <memory>

#include "archives/file_list.h"
#include "archives/gzip.h"

namespace hutch::archives {
namespace {

std::string packed(const std::string& bytes, size_t piece) {
    std::string out;
    Gzip gzip = Gzip::open([&out](std::string_view some) -> Result<void> {
                    out += some;
                    return {};
                }).value();
    for (size_t at = 0; at < bytes.size(); at += piece) EXPECT_TRUE(gzip.add(bytes.substr(at, piece)).ok());
    EXPECT_TRUE(gzip.finish().ok());
    return out;
}

std::string unpacked(const std::string& gzip, size_t size) {
    std::string out(size + 1, '\0');
    z_stream stream{};
    EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(gzip.data()));
    stream.avail_in = static_cast<uInt>(gzip.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
    out.resize(stream.total_out);
    inflateEnd(&stream);
    return out;
}

TEST(Gzip, PacksWhatComesInAnyPieces) {
    std::string bytes;
    for (uint32_t i = 0; i < 300'000; ++i) bytes += static_cast<char>((i * i) >> 7);
    const std::string whole = packed(bytes, bytes.size());
    EXPECT_EQ(unpacked(whole, bytes.size()), bytes);
    EXPECT_EQ(packed(bytes, 1000), whole) << "the same bytes, however they came";
    EXPECT_EQ(whole.substr(4, 4), std::string(4, '\0')) << "a time is in its head";
    EXPECT_EQ(unpacked(packed("", 1), 0), "");
}

TEST(Gzip, AnErrorOfWhoTakesItEndsIt) {
    Gzip gzip = Gzip::open([](std::string_view) { return Result<void>(errno_error("writing", ENOSPC)); }).value();
    const auto added = gzip.add("x");
    const auto finished = gzip.finish();
    EXPECT_TRUE((!added.ok() && added.error().code == ENOSPC) || (!finished.ok() && finished.error().code == ENOSPC));
}

TEST(FileList, IsATarArchiveThatIsTakenAsItGrows) {
    FileList files = FileList::open().value();
    ASSERT_TRUE(files.add("first", "one").ok());
    std::string tar = files.take();
    EXPECT_GE(tar.size(), 512U + 3) << "nothing is kept back";
    ASSERT_TRUE(files.begin("blobs/sha256/second", 2000).ok());
    for (int i = 0; i < 4; ++i) {
        ASSERT_TRUE(files.write(std::string(500, static_cast<char>('a' + i))).ok());
        tar += files.take();
    }
    ASSERT_TRUE(files.finish().ok());
    tar += files.take();
    EXPECT_EQ(tar.size() % 512, 0U);
    const std::unique_ptr<archive, decltype([](archive* a) { archive_read_free(a); })> reader(archive_read_new());
    archive_read_support_format_tar(reader.get());
    ASSERT_EQ(archive_read_open_memory(reader.get(), tar.data(), tar.size()), ARCHIVE_OK);
    archive_entry* entry = nullptr;
    ASSERT_EQ(archive_read_next_header(reader.get(), &entry), ARCHIVE_OK);
    EXPECT_STREQ(archive_entry_pathname(entry), "first");
    ASSERT_EQ(archive_read_next_header(reader.get(), &entry), ARCHIVE_OK);
    EXPECT_STREQ(archive_entry_pathname(entry), "blobs/sha256/second");
    EXPECT_EQ(archive_entry_mtime(entry), 0);
    std::string content(2000, '\0');
    EXPECT_EQ(archive_read_data(reader.get(), content.data(), content.size()), 2000);
    EXPECT_EQ(content.substr(1500), std::string(500, 'd'));
    EXPECT_EQ(archive_read_next_header(reader.get(), &entry), ARCHIVE_EOF);
}

TEST(FileList, AFileOfMoreThanEightGiBHasAHeader) {
    FileList files = FileList::open().value();
    ASSERT_TRUE(files.begin("large", uint64_t{20} << 30).ok());
    EXPECT_FALSE(files.take().empty());
}

}  // namespace
}  // namespace hutch::archives
