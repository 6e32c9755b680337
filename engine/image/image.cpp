// Picture files to pictures.
#include "engine/image/image.h"

#include "engine/image/picture_file.h"
#include "engine/image/rows.h"
#include "engine/image/sound.h"

namespace impasto {
namespace {

namespace fs = std::filesystem;

/// What a caller has in memory as a file.
codec::Bytes bytes_of(const std::uint8_t* data, std::size_t size) {
  if (data == nullptr && size > 0) {
    throw make_error(ErrorCode::kUsage, "expected {} bytes in memory, found a null pointer", size);
  }
  return {data, size};
}

codec::PictureReader open_picture(const std::uint8_t* data, std::size_t size, const std::string& name,
                                  std::int64_t max_pixels) {
  codec::Bytes file;
  codec::run_named(name, [&] { file = bytes_of(data, size); });
  return {file, name, max_pixels};
}

}  // namespace

std::vector<Image> decode_image_at(const std::uint8_t* data, std::size_t size, const std::string& name,
                                   const ChooseSizes& choose, Overshoot overshoot, std::int64_t max_pixels,
                                   std::vector<std::string>* warnings) {
  codec::PictureReader reader = open_picture(data, size, name, max_pixels);
  const std::vector<PixelSize> sizes = choose(reader.size());
  for (const PixelSize wanted : sizes) require_sound(wanted, name);
  std::vector<Image> pictures = reader.read_at(sizes, overshoot);
  reader.pass_on_warnings(warnings);
  return pictures;
}

std::vector<Image> read_image_at(const fs::path& path, const ChooseSizes& choose, Overshoot overshoot,
                                 std::int64_t max_pixels, std::vector<std::string>* warnings) {
  const std::vector<std::uint8_t> bytes = codec::read_known_picture_file(path, max_pixels);
  return decode_image_at(bytes.data(), bytes.size(), path.string(), choose, overshoot, max_pixels, warnings);
}

Image decode_image(const std::uint8_t* data, std::size_t size, const std::string& name,
                   std::int64_t max_pixels, std::vector<std::string>* warnings) {
  const auto whole = [](PixelSize own) { return std::vector{own}; };
  return std::move(decode_image_at(data, size, name, whole, Overshoot::kKeep, max_pixels, warnings).front());
}

Image read_image(const fs::path& path, std::int64_t max_pixels, std::vector<std::string>* warnings) {
  const std::vector<std::uint8_t> bytes = codec::read_known_picture_file(path, max_pixels);
  return decode_image(bytes.data(), bytes.size(), path.string(), max_pixels, warnings);
}

PictureInfo probe_image(const std::uint8_t* data, std::size_t size, const std::string& name,
                        std::int64_t max_pixels, std::vector<std::string>* warnings) {
  codec::PictureReader reader = open_picture(data, size, name, max_pixels);
  reader.look_at_profile();
  reader.pass_on_warnings(warnings);
  return {reader.format(), reader.size()};
}

PictureInfo probe_image(const fs::path& path, std::int64_t max_pixels, std::vector<std::string>* warnings) {
  const std::vector<std::uint8_t> bytes = codec::read_known_picture_file(path, max_pixels);
  return probe_image(bytes.data(), bytes.size(), path.string(), max_pixels, warnings);
}

}  // namespace impasto
