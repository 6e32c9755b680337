#pragma once
// A picture's rows on their way from a file: who gives them, who takes them.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/image/codec.h"
#include "engine/image/image.h"

namespace impasto::codec {

/// In which order rows of an upright picture come: its rows, or its columns where the picture lies in its
/// file; the first one first, or the last one. Each begins at the picture's left or upper edge.
struct RowOrder {
  PixelSize size;         ///< upright
  bool columns = false;   ///< rows are columns of the upright picture
  bool from_end = false;  ///< the last one comes first

  /// That of a file whose rows are mirrored where `mirrored` says so.
  RowOrder(PixelSize stored, int orientation);
  explicit RowOrder(PixelSize upright) : size(upright) {}
  [[nodiscard]] static bool mirrored(int orientation);

  [[nodiscard]] std::int64_t rows() const { return columns ? size.width : size.height; }
  [[nodiscard]] std::int64_t length() const { return columns ? size.height : size.width; }
  /// Which row or column of the upright picture comes i-th.
  [[nodiscard]] std::int64_t place(std::int64_t i) const { return from_end ? rows() - 1 - i : i; }
};

/// Takes the rows of a picture in the order that it was made for, each once.
class RowSink {
 public:
  RowSink() = default;
  virtual ~RowSink() = default;
  RowSink(const RowSink&) = delete;
  RowSink& operator=(const RowSink&) = delete;
  /// RowOrder::length() pixels, as in Image; no alpha: null.
  virtual void take(const float* rgb, const float* alpha) = 0;
};

/// Makes a picture of them.
class PictureSink : public RowSink {
 public:
  /// Once all rows have come.
  [[nodiscard]] virtual Image picture() = 0;
};

/// The whole picture as it is. Its memory is touched as the rows come.
class WholePicture final : public PictureSink {
 public:
  WholePicture(const RowOrder& order, bool alpha);
  void take(const float* rgb, const float* alpha) override;
  [[nodiscard]] Image picture() override;

 private:
  void append(const float* rgb, const float* alpha);
  void place_band();

  RowOrder order_;
  bool alpha_;
  Image image_;
  std::int64_t taken_ = 0;
  // Columns: as many of them as are placed at a time.
  std::vector<float> band_rgb_, band_alpha_;
};

/// A picture file whose header is read.
class PictureReader {
 public:
  /// The bytes must outlive it. Errors as of Decoder, with `name` in front.
  PictureReader(Bytes file, const std::string& name, std::int64_t max_pixels);
  ~PictureReader();
  PictureReader(const PictureReader&) = delete;
  PictureReader& operator=(const PictureReader&) = delete;

  [[nodiscard]] const char* format() const { return format_; }
  [[nodiscard]] PixelSize size() const { return order().size; }  ///< upright
  [[nodiscard]] RowOrder order() const;
  [[nodiscard]] bool has_alpha() const { return decoder_->header().alpha; }
  /// Decodes all rows, converts them to sRGB and hands each to all sinks. Once.
  void read(std::span<RowSink* const> sinks);
  /// Without reading: whether the profile can be used, which is known without pixels, for the warnings.
  void look_at_profile();
  /// resize(picture, size, overshoot), or the picture itself, for each size, to the last bit. Once.
  /// Rows go to the other sinks too.
  [[nodiscard]] std::vector<Image> read_at(std::span<const PixelSize> sizes, Overshoot overshoot,
                                           std::span<RowSink* const> others = {});
  /// What a user should know by what was read so far, each line with the name in front; if it is asked for.
  void pass_on_warnings(std::vector<std::string>* to) const;

 private:
  void decode(std::span<RowSink* const> sinks);

  std::string name_;
  const char* format_ = "";
  std::unique_ptr<Decoder> decoder_;
  std::vector<std::string> of_pixels_;
  bool profile_unused_ = false;
};

}  // namespace impasto::codec
