"""The files of other codecs' programs: .ecdc and .dac."""
