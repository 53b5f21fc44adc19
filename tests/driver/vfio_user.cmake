# The wire format, and client against server in one process.
postern_add_test(vfio_user_protocol_test SOURCES vfio_user_protocol_test.cc LIBS postern_vfio_user_wire)
postern_add_test(vfio_user_function_test
  SOURCES vfio_user_function_test.cc
  LIBS postern_vfio_user postern_vfio_user_server
  LABELS live)
